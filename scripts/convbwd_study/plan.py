# SPDX-License-Identifier: Apache-2.0
"""From what was asked for to the cells of a study: layer × pass × layout × cache × threads × instruction-set cap."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

from convbwd_study.binary import ISAS, Build, Layer, Row, Workload
from convbwd_study.errors import NothingMatched, UsageError
from convbwd_study.machine import cpu_facts, slug

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PASSES = ("data", "weights")
LAYOUTS = ("native", "nchw", "nhwc")
CACHES = ("warm", "cold")


@dataclass(frozen=True)
class Options:
    """What was asked for. Empty `layers` and `implementations` mean all; `budget` is in seconds, None if not given."""

    workloads: tuple[str, ...] = ("resnet50",)
    problems: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    implementations: tuple[str, ...] = ()
    isa: str = "best"
    passes: tuple[str, ...] = PASSES
    layouts: tuple[str, ...] = ("native",)
    caches: tuple[str, ...] = ("warm",)
    threads: tuple[int, ...] = ()
    batch: int | None = None
    budget: float | None = None
    seed: int = 1


@dataclass(frozen=True)
class Cell:
    """One race under fixed conditions, run by one process. `source` is the workload as the programs are told it,
    `label` the cell as users are told it, among the others of its study."""

    key: str
    workload: str
    layer: str
    count: int
    problem: str
    layout: str
    cache: str
    threads: int
    isa_cap: str
    source: str
    macs: float
    pass_: str
    label: str

    def entry(self) -> dict[str, str | int]:
        """The cell as the manifest lists it."""
        fields = ("key", "workload", "layer", "count", "problem", "layout", "cache", "threads", "isa_cap")
        return {**{field: getattr(self, field) for field in fields}, "pass": self.pass_}


@dataclass(frozen=True)
class Plan:
    options: Options
    workloads: tuple[Workload, ...]
    cells: tuple[Cell, ...]
    expected: frozenset[str]  # names of built implementations that each cell must account for
    binary: str  # sha256 of the program that measures


def make_plan(build: Build, options: Options) -> Plan:
    """All cells, layers in their networks' order; raises where nothing is left to run."""
    rows = build.rows()
    expected = _expected(rows, options.implementations)
    workloads = _workloads(build, options)
    binary = build.digest()
    identity = {
        "binary": binary,
        "cpu": cpu_facts(),
        "implementations": sorted(options.implementations),
        "budget": options.budget,
        "seed": options.seed,
    }
    conditions = (
        options.layouts,
        options.caches,
        options.threads or (build.cores(),),
        _caps(rows, options.isa),
    )
    several = [len(condition) > 1 for condition in conditions]
    cells = [
        _cell(identity, workload, layer, pass_, several, *values)
        for workload in workloads
        for layer in workload.layers
        for pass_ in options.passes
        for values in product(*conditions)
    ]
    if not cells:
        reasons = [reason for workload in workloads for reason in workload.skipped]
        raise NothingMatched("no layer can be run" + (f": {reasons[0]}" if reasons else ""))
    return Plan(options, workloads, tuple(cells), expected, binary)


def _cell(
    identity: Mapping[str, object],
    workload: Workload,
    layer: Layer,
    pass_: str,
    several: Sequence[bool],  # of the conditions that follow: has the study more than one?
    layout: str,
    cache: str,
    threads: int,
    isa_cap: str,
) -> Cell:
    axes = {
        "workload": workload.name,
        "layer": layer.name,
        "pass": pass_,
        "layout": layout,
        "cache": cache,
        "threads": threads,
        "isa_cap": isa_cap,
        "problem": layer.problem,
        "count": layer.count,
    }
    digest = hashlib.sha256(json.dumps({**identity, **axes}, sort_keys=True).encode()).hexdigest()
    conditions = (layout, cache, "1 thread" if threads == 1 else f"{threads} threads", isa_cap)
    told = [condition for condition, more in zip(conditions, several, strict=True) if more]
    readable = slug(f"{workload.name}-{layer.name}-{pass_}", longest=72)
    return Cell(
        key=f"{readable}-{layout}-{cache}-t{threads}-{isa_cap}-{digest[:16]}",
        workload=workload.name,
        layer=layer.name,
        count=layer.count,
        problem=layer.problem,
        layout=layout,
        cache=cache,
        threads=threads,
        isa_cap=isa_cap,
        source=workload.source,
        macs=layer.macs,
        pass_=pass_,
        label=", ".join([f"{workload.name}:{layer.name} {pass_}", *told]),
    )


def _workloads(build: Build, options: Options) -> tuple[Workload, ...]:
    workloads = [build.workload(source, options.batch) for source in dict.fromkeys(options.workloads)]
    bare = [build.problem(descriptor, options.batch) for descriptor in options.problems]
    if bare:
        layers = tuple(dict.fromkeys(layer for one in bare for layer in one.layers))
        workloads.append(Workload(bare[0].name, "", layers, tuple(reason for one in bare for reason in one.skipped)))
    _refuse_twins([workload.name for workload in workloads], "two workloads are called {}")
    for workload in workloads:
        _refuse_twins([layer.name for layer in workload.layers], f"{workload.name}: two layers are called {{}}")
    return tuple(_only(workload, options.layers) for workload in workloads) if options.layers else tuple(workloads)


def _only(workload: Workload, names: Sequence[str]) -> Workload:
    """The workload cut down to some of its layers."""
    unknown = next((name for name in names if all(layer.name != name for layer in workload.layers)), None)
    if unknown:
        raise NothingMatched(f"--layer {unknown}: {workload.name} has no such layer")
    return dataclasses.replace(workload, layers=tuple(layer for layer in workload.layers if layer.name in names))


def _refuse_twins(names: Sequence[str], complaint: str) -> None:
    twin = next((name for i, name in enumerate(names) if name in names[:i]), None)
    if twin is not None:
        raise UsageError(complaint.format(twin))


def _expected(rows: Sequence[Row], wanted: Sequence[str]) -> frozenset[str]:
    """Names that must appear in each cell. A wanted one that nobody knows, or that was not built, is refused here."""
    built = [row for row in rows if row.built]
    names = list(dict.fromkeys(row.name for row in built))
    for word in wanted:
        if any(word in (row.name, f"{row.name}:{row.isa}") for row in built):
            continue
        missing = next((row for row in rows if word.partition(":")[0] == row.name and not row.built), None)
        if missing:
            raise NothingMatched(f"--impl {word}: not built: {missing.reason}")
        raise UsageError(f"--impl {word} is not known; there are: {' '.join(names)}")
    return frozenset(word.partition(":")[0] for word in wanted) or frozenset(names)


def _caps(rows: Sequence[Row], isa: str) -> list[str]:
    """Caps on the instruction set, highest first: what this CPU runs, told from the rows that say so."""
    runnable = [
        isa for isa in reversed(ISAS) if isa == ISAS[0] or any(row.isa == isa and row.runs_here for row in rows)
    ]
    if isa == "best":
        return runnable[:1]
    if isa == "all":
        return runnable
    return [_one_cap(word, runnable) for word in comma_list("--isa", isa, ISAS)]


def _one_cap(cap: str, runnable: Sequence[str]) -> str:
    if cap not in runnable:
        raise NothingMatched(f"--isa {cap}: this CPU does not run it, or no row was built for it")
    return cap


def comma_list(flag: str, text: str, known: Sequence[str] = ()) -> tuple[str, ...]:
    """`a,b` as a tuple without repeats; a word that is not `known` is refused by name."""
    words = tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
    if not words:
        raise UsageError(f"{flag} is empty")
    for word in words:
        if known and word not in known:
            raise UsageError(f"{flag} {word} is not known; there are: {' '.join(known)}")
    return words


def thread_list(text: str, cores: int) -> tuple[int, ...]:
    """`1,2`, or `all` cores."""

    def count(word: str) -> int:
        if word == "all":
            return cores
        if re.fullmatch(r"[1-9][0-9]{0,2}|10[01][0-9]|102[0-4]", word):
            if int(word) > cores:
                raise UsageError(f"--threads {word}: this process may keep {cores} CPUs busy")
            return int(word)
        raise UsageError(f"--threads {word}: expected numbers of CPUs, or all")

    return tuple(dict.fromkeys(count(word) for word in comma_list("--threads", text)))
