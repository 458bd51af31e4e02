# SPDX-License-Identifier: Apache-2.0
"""Is a cell document what it should be? Nothing enters a study unread: a contender can lie, a disk can fill up."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from convbwd_study import documents
from convbwd_study.noise import Measured

if TYPE_CHECKING:
    from pathlib import Path

    from convbwd_study.documents import Fields
    from convbwd_study.plan import Cell

SCHEMA = "1"
MESSAGES = ("skip: ", "wrong: ", "failed: ")
_NUMBERS = (
    *("batch", "macs", "nominal_macs", "elapsed_seconds"),
    *("fma_peak_gflops_before", "fma_peak_gflops_after", "bandwidth_gbs_before", "bandwidth_gbs_after"),
)
_BUILD = ("compiler", "build_type", "commit", "dirty", "binary_sha256")
_MACHINE = (
    *("cpu_model", "cpu_vendor", "cpu_family_model_stepping", "microcode", "isa_best", "cores", "memory_bytes"),
    *("kernel", "governor", "virtualisation", "thp", "os"),
)
_TEXTS = (*_MACHINE, *_BUILD, "seed", "noisy", "started")


@dataclass(frozen=True)
class CellDocument:
    """A cell document that was found good."""

    machine: dict[str, str]
    build: dict[str, str]
    timed: frozenset[str]  # titles (name:isa) of rows with a time
    errors: dict[str, str]  # title -> error message
    measured: Measured

    def rows(self, kind: str) -> dict[str, str]:
        """Rows without a time whose message is of this kind: skip, wrong or failed."""
        return {title: message for title, message in self.errors.items() if message.startswith(f"{kind}: ")}


def read_cell(file: Path, cell: Cell, expected: frozenset[str]) -> CellDocument:
    """The document of `cell` in `file`; every implementation of `expected` is accounted for in it.

    Raises BadDocument with the file and the field that is not as it should be.
    """
    document = documents.read(file)
    context = document.object("context")
    context.text("convbwd_schema", allowed=(SCHEMA,))
    for key, value in cell.entry().items():
        if key != "key":
            context.text(key, allowed=(str(value),))
    facts = {key: context.text(key) for key in _TEXTS}
    numbers = {key: context.number(key) for key in _NUMBERS}

    timed: set[str] = set()
    errors: dict[str, str] = {}
    for entry in document.objects("benchmarks"):
        title = _title(entry, cell)
        if entry.flag("error_occurred"):
            errors[title] = entry.text("error_message")
            if not errors[title].startswith(MESSAGES):
                entry.refuse("error_message", "expected it to begin with skip:, wrong: or failed:")
        else:
            entry.text("time_unit", allowed=("ms",))
            if not entry.number("real_time") > 0:
                entry.refuse("real_time", "expected a positive number")
            timed.add(title)
    missing = expected - {title.partition(":")[0] for title in timed | errors.keys()}
    if missing:
        document.refuse("benchmarks", f"no entry for {', '.join(sorted(missing))}")
    more = {key: context.text(key) for key in context.values if key.startswith("flags_") or key.endswith("_version")}
    return CellDocument(
        machine={key: facts[key] for key in _MACHINE},
        build={key: facts[key] for key in _BUILD} | more,
        timed=frozenset(timed),
        errors=errors,
        measured=Measured(
            cell.threads,
            cell.isa_cap,
            peak=max(numbers["fma_peak_gflops_before"], numbers["fma_peak_gflops_after"]) or math.nan,
            noisy=facts["noisy"],
        ),
    )


def _title(entry: Fields, cell: Cell) -> str:
    """`avx2:avx2` from data/resnet50:conv1/avx2:avx2/native/warm/threads:2[/...], if the rest is this cell's."""
    name = entry.name("name")
    pass_, layer, title, *conditions = [*name.split("/"), "", ""][:6]
    wanted = [cell.layout, cell.cache, f"threads:{cell.threads}"]
    if (pass_, layer) != (cell.pass_, f"{cell.workload}:{cell.layer}") or conditions != wanted:
        entry.refuse("name", f"{name} is not of this cell")
    return title
