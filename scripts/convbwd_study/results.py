# SPDX-License-Identifier: Apache-2.0
"""A study folder as tidy tables. What is not understood is refused with the file and the field.

Three tables, joined by `key` (of the cell) and `contender`:
    cells    one row a cell: the layer, the conditions, the machine's measured peak and bandwidth
    rows     one row a cell and contender: timed, once (n = 1), skipped, wrong or failed, and why
    samples  one row a cell, contender and round: seconds per execution
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from convbwd_study import documents
from convbwd_study.entries import COUNTERS, add_entries
from convbwd_study.errors import BadDocument, NothingMatched, UsageError
from convbwd_study.noise import Measured, best_peaks, noise
from convbwd_study.plan import CACHES, LAYOUTS, PASSES

if TYPE_CHECKING:
    from pathlib import Path

    from convbwd_study.documents import Fields

SCHEMA = 1
MAX_CELLS = 20_000
RACE = ["workload", "layer", "problem", "pass", "threads", "layout", "cache"]  # what a race is about; caps may differ

LISTED_COLUMNS = ["key", "workload", "layer", "pass", "layout", "cache", "threads", "isa_cap", "problem", "count"]
MEASURED = ["macs", "nominal_macs", "peak_gflops", "bandwidth_gbs", "noisy", "started", "elapsed_seconds"]
CELL_COLUMNS = [*LISTED_COLUMNS, "batch", *MEASURED, "listed"]
ROW_COLUMNS = ["key", "contender", "impl", "isa", "status", "reason", "label", "library", "n", *COUNTERS, "stages"]
SAMPLE_COLUMNS = ["key", "contender", "round", "sequence", "start_s", "seconds", "iterations"]


@dataclass
class Study:
    """`facts`: the context of each cell, all text. `planned`: how many cells the manifest lists."""

    folder: Path
    name: str
    created: str
    cells: pd.DataFrame
    rows: pd.DataFrame
    samples: pd.DataFrame
    facts: dict[str, dict[str, str]]
    caches: str
    layer_order: dict[str, list[str]]
    planned: int
    missing: pd.DataFrame  # cells the manifest lists that have no document yet
    failed: dict[str, str]  # cells that have no document because their process failed, by key
    unread: list[str]  # lines of workloads that are not layers of ours, with the reason
    some_layers: bool = False  # of the workloads were asked for, not all
    stale: int = 0  # documents of an earlier build, left aside

    @property
    def libraries(self) -> frozenset[str]:
        """Implementations that are somebody else's code. A row that was never timed may not say so."""
        return frozenset(self.rows.loc[self.rows["library"].astype(bool), "impl"])


def load(folder: Path) -> Study:
    """Reads and checks a whole study. Raises StudyError: not a study, nothing measured yet, or a damaged file."""
    manifest_file = folder / "manifest.json"
    if not manifest_file.is_file():
        raise UsageError(f"{folder}: no manifest.json there: not the folder of a study")
    manifest = documents.read(manifest_file)
    if manifest.whole("schema") != SCHEMA:
        manifest.refuse("schema", f"this program reads schema {SCHEMA}")
    listed = [_listed(entry) for entry in manifest.objects("cells")]
    files = sorted((folder / "cells").glob("*.json"))
    if len(files) > MAX_CELLS:
        raise BadDocument(f"{folder / 'cells'}: more than {MAX_CELLS} files")
    if not files:
        raise NothingMatched(f"{folder}: no cell has been measured yet; `run` on the same folder goes on")

    cells: list[dict[str, object]] = []
    rows: list[dict[str, object]] = []
    samples: list[dict[str, object]] = []
    facts: dict[str, dict[str, str]] = {}
    hardware: list[str] = []
    wanted = {entry["key"]: entry for entry in listed}
    read = [documents.read(file) for file in files]
    for file, document in zip(files, read, strict=True):
        context = document.object("context")
        facts[file.stem] = {key: value for key, value in context.values.items() if isinstance(value, str)}
        hardware.append(_caches(context))
        cells.append(_cell(file.stem, context) | {"listed": file.stem in wanted})
        for field, planned in wanted.get(file.stem, {}).items():
            if cells[-1][field] != planned:
                context.refuse(field, f"the manifest has {planned} here: the document of another cell")
    _compare_peaks(cells)
    for file, document, cell in zip(files, read, cells, strict=True):
        add_entries(file.stem, cell, document, rows, samples)

    study = Study(
        folder=folder,
        name=manifest.text("name", default=folder.name) or folder.name,
        created=manifest.text("created", default=""),
        cells=pd.DataFrame(cells, columns=CELL_COLUMNS),
        rows=pd.DataFrame(rows, columns=ROW_COLUMNS),
        samples=pd.DataFrame(samples, columns=SAMPLE_COLUMNS),
        facts=facts,
        caches=next((text for text in hardware if text), ""),
        layer_order=_layer_order(manifest),
        planned=len(listed),
        failed=_failed(manifest),
        unread=_unread(manifest),
        some_layers="options" in manifest and bool(manifest.object("options").texts("layers")),
        missing=pd.DataFrame([entry for entry in listed if entry["key"] not in facts], columns=LISTED_COLUMNS),
    )
    return _without_stale(study)


def _listed(entry: Fields) -> dict[str, object]:
    return {"key": entry.file_name("key")} | _conditions(entry)


def _conditions(fields: Fields) -> dict[str, object]:
    """What the manifest and a cell's context both say about a cell."""
    return {
        "workload": fields.name("workload"),
        "layer": fields.name("layer"),
        "pass": fields.text("pass", allowed=PASSES),
        "layout": fields.text("layout", allowed=LAYOUTS),
        "cache": fields.text("cache", allowed=CACHES),
        "threads": fields.whole("threads", least=1),
        "isa_cap": fields.name("isa_cap"),
        "problem": fields.name("problem"),
        "count": fields.whole("count", least=1),
    }


def _failed(manifest: Fields) -> dict[str, str]:
    if "failed" not in manifest:
        return {}
    failed = manifest.object("failed")
    return {key: failed.text(key) for key in failed.values}


def _unread(manifest: Fields) -> list[str]:
    workloads = manifest.object("workloads") if "workloads" in manifest else None
    return [line for name in workloads.values for line in workloads.object(name).texts("skipped")] if workloads else []


def _layer_order(manifest: Fields) -> dict[str, list[str]]:
    order: dict[str, list[str]] = {}
    if "workloads" in manifest:
        workloads = manifest.object("workloads")
        for name in workloads.values:
            order[name] = [layer.name("name") for layer in workloads.object(name).objects("layers")]
    return order


def _cell(key: str, context: Fields) -> dict[str, object]:
    if context.whole("convbwd_schema") != SCHEMA:
        context.refuse("convbwd_schema", f"this program reads schema {SCHEMA}")
    peaks = [context.number(f"fma_peak_gflops_{when}") for when in ("before", "after")]
    bandwidths = [context.number(f"bandwidth_gbs_{when}") for when in ("before", "after")]
    return (
        {"key": key}
        | _conditions(context)
        | {
            "batch": context.whole("batch", least=1),
            "macs": context.number("macs"),
            "nominal_macs": context.number("nominal_macs"),
            "peak_gflops": max(peaks) or float("nan"),  # 0: not measured
            "bandwidth_gbs": max(bandwidths) or float("nan"),
            "noisy": context.text("noisy"),
            "started": context.text("started", default=""),
            "elapsed_seconds": context.number("elapsed_seconds", default=0),
        }
    )


def _compare_peaks(cells: list[dict[str, object]]) -> None:
    """Every cell is measured by the best peak of its conditions; one whose own was lower had not the whole machine."""
    measured = [
        Measured(int(str(cell["threads"])), str(cell["isa_cap"]), float(str(cell["peak_gflops"])), str(cell["noisy"]))
        for cell in cells
    ]
    best = best_peaks(measured)
    for cell, own in zip(cells, measured, strict=True):
        cell["noisy"] = noise(own, best)
        if own.peak > 0:
            cell["peak_gflops"] = best[own.conditions]


def _caches(context: Fields) -> str:
    """`L1 32 KiB, L2 1 MiB, L3 32 MiB shared by 2`, from Google Benchmark's list."""
    if "caches" not in context:
        return ""
    parts = []
    for cache in context.objects("caches"):
        if cache.text("type", default="") == "Instruction":
            continue
        size, sharing = cache.whole("size"), cache.whole("num_sharing", default=1)
        shown = f"{size / 2**20:g} MiB" if size >= 2**20 else f"{size / 2**10:g} KiB"
        parts.append(f"L{cache.whole('level')} {shown}" + (f" shared by {sharing}" if sharing > 1 else ""))
    return ", ".join(parts)


def _without_stale(study: Study) -> Study:
    """One document a race and cap: the one the manifest lists, or else the latest."""
    ranked = study.cells.sort_values(["listed", "started"], ascending=False, kind="stable")
    stale = set(ranked.loc[ranked.duplicated([*RACE, "isa_cap"]), "key"])
    if stale:
        study.stale = len(stale)
        study.cells = study.cells[~study.cells["key"].isin(stale)].reset_index(drop=True)
        study.rows = study.rows[~study.rows["key"].isin(stale)].reset_index(drop=True)
        study.samples = study.samples[~study.samples["key"].isin(stale)].reset_index(drop=True)
        study.facts = {key: facts for key, facts in study.facts.items() if key not in stale}
    return study
