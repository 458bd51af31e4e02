# SPDX-License-Identifier: Apache-2.0
"""A study: a folder of cell documents under a manifest. Killed at any moment, it goes on where it was.

manifest.json     what was asked for, and the cells that make up the study
cells/KEY.json    one validated document a cell, whole or not there
stale/KEY.json    cells of another build or of other options: kept, never read, taken back when asked for again
running/          what the process at work writes; emptied by the next one
logs/KEY.txt      what was said when something failed; KEY.again.txt when a noisy cell was repeated
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING, Any

from convbwd_study import documents
from convbwd_study.cell_document import read_cell
from convbwd_study.errors import BadDocument, UsageError
from convbwd_study.noise import best_peaks, noise, quieter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from convbwd_study.cell_document import CellDocument
    from convbwd_study.plan import Cell, Plan

SCHEMA = 1
MANIFEST = "manifest.json"
_LOCK = ".lock"


class Study:
    """The folder at `path`, locked for this process; made by `opened`."""

    def __init__(self, path: Path, plan: Plan, manifest: dict[str, Any]) -> None:
        self.path = path
        self.plan = plan
        self.manifest = manifest
        self.done: dict[str, CellDocument] = {}
        self.warnings: list[str] = []
        self.set_aside = 0

    def file_of(self, cell: Cell) -> Path:
        return self.path / "cells" / f"{cell.key}.json"

    def log_of(self, cell: Cell) -> Path:
        return self.path / "logs" / f"{cell.key}.txt"

    @property
    def running(self) -> Path:
        return self.path / "running"

    def remaining(self) -> list[Cell]:
        return [cell for cell in self.plan.cells if cell.key not in self.done]

    def accept(self, cell: Cell, candidate: Path) -> CellDocument:
        """Takes a document in, once it was read and found good."""
        document = read_cell(candidate, cell, self.plan.expected)
        self._take_in(cell, candidate, document)
        return document

    def accept_better(self, cell: Cell, candidate: Path) -> bool:
        """Takes a second document of a cell in if it is good and its machine was quieter, or if it found a row wrong;
        not if a row failed in it that had a time before. Was it taken in?"""
        first, second = self.done[cell.key], read_cell(candidate, cell, self.plan.expected)
        best = best_peaks([second.measured, *(document.measured for document in self.done.values())])
        better = quieter(second.measured, first.measured, best) and not first.timed & second.rows("failed").keys()
        if better or second.rows("wrong"):
            self._take_in(cell, candidate, second)
        return self.done[cell.key] is second

    def noise_of(self, cell: Cell) -> str:
        """Why a finished cell is noisy beside the others, or nothing."""
        return noise(self.done[cell.key].measured, best_peaks(document.measured for document in self.done.values()))

    def _take_in(self, cell: Cell, candidate: Path, document: CellDocument) -> None:
        with candidate.open("rb") as file:
            os.fsync(file.fileno())
        candidate.replace(self.file_of(cell))
        _sync_folder(self.file_of(cell).parent)
        self.done[cell.key] = document
        self._take_facts(document)

    def fail(self, cell: Cell, reason: str, log: str) -> None:
        """Records that a whole cell has no result; the next run tries it again."""
        self.write_log(cell, f"{reason}\n{log}")
        self.manifest["failed"][cell.key] = reason
        self.save()

    def _take_facts(self, document: CellDocument) -> None:
        facts = {"machine": document.machine, "build": document.build}
        if {key: self.manifest.get(key) for key in facts} != facts:
            self.manifest |= facts
            self.save()

    def write_log(self, cell: Cell, text: str, again: bool = False) -> None:
        file = self.log_of(cell).with_suffix(".again.txt") if again else self.log_of(cell)
        write_whole(file, text.encode(errors="replace"))

    def save(self) -> None:
        text = json.dumps(self.manifest, indent=1, ensure_ascii=False) + "\n"
        write_whole(self.path / MANIFEST, text.encode(errors="replace"))

    def take_stock(self) -> None:
        """Sorts the cells that are there into those of the plan, and the others, which are set aside."""
        for folder in ("cells", "stale", "logs", "running"):
            (self.path / folder).mkdir(exist_ok=True)
        shutil.rmtree(self.running)
        self.running.mkdir()
        for torn in (*self.path.glob(".*.tmp"), *self.path.glob("logs/.*.tmp")):
            torn.unlink()
        wanted = {f"{cell.key}.json": cell for cell in self.plan.cells}
        for file in sorted((self.path / "cells").iterdir()):
            if file.name not in wanted:
                file.replace(self.path / "stale" / file.name)
                self.set_aside += 1
        for name, cell in wanted.items():
            file, stale = self.file_of(cell), self.path / "stale" / name
            if not file.exists() and stale.exists():
                stale.replace(file)
            if not file.exists():
                continue
            try:
                self.done[cell.key] = read_cell(file, cell, self.plan.expected)
            except BadDocument as error:
                file.replace(self.path / "stale" / f"{name}.bad")
                self.warnings.append(f"{error} (set aside; the cell runs again)")
        if self.done:
            self._take_facts(next(reversed(self.done.values())))


@contextlib.contextmanager
def opened(path: Path, plan: Plan) -> Iterator[Study]:
    """The study at `path`, new or gone on with, for this process alone."""
    _manifest_at(path)  # complains about what is not a study before anything is made there
    path.mkdir(parents=True, exist_ok=True)
    with (path / _LOCK).open("a") as lock:
        _lock(lock, path)
        created = datetime.now(UTC).isoformat(timespec="seconds")
        manifest = _manifest_at(path) or {"schema": SCHEMA, "created": created, "machine": {}, "build": {}}
        study = Study(path, plan, manifest)
        planned = _planned(path.name, plan)
        if {key: manifest.get(key) for key in planned} != planned:
            manifest |= planned
            study.save()
        study.take_stock()
        yield study


def check_is_study(path: Path) -> None:
    """Refuses, in one line, what is not the folder of a study."""
    if not path.is_dir():
        raise UsageError(f"{path}: no such folder")
    if _manifest_at(path) is None:
        raise UsageError(f"{path}: not a study: it has no {MANIFEST}")


def progress_of(path: Path) -> tuple[int, int]:
    """Cells done and cells planned of the study at `path`."""
    cells = (_manifest_at(path) or {}).get("cells", [])
    return sum((path / "cells" / f"{cell['key']}.json").exists() for cell in cells), len(cells)


def changed(path: Path) -> int:
    """When the study at `path` last changed, in nanoseconds of its files' time."""
    return max(file.stat().st_mtime_ns for file in (path / MANIFEST, *path.glob("cells/*.json")))


def write_whole(file: Path, content: bytes) -> None:
    """Writes under a temporary name, syncs, renames: the file is there whole, or as it was before."""
    if file.is_symlink() or (file.exists() and not file.is_file()):
        raise UsageError(f"{file} is there and is not a regular file")
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(file.parent)


def _planned(name: str, plan: Plan) -> dict[str, Any]:
    """What the plan says in a manifest, as JSON would give it back."""
    options = vars(plan.options)
    planned = {
        "name": name,
        "options": options,
        "workloads": {
            workload.name: {
                "digest": workload.digest,
                "layers": [
                    {"name": layer.name, "problem": layer.problem, "count": layer.count} for layer in workload.layers
                ],
                "skipped": list(workload.skipped),
            }
            for workload in plan.workloads
        },
        "cells": [cell.entry() for cell in plan.cells],
        "failed": {},
    }
    same: dict[str, Any] = json.loads(json.dumps(planned))
    return same


def _manifest_at(path: Path) -> dict[str, Any] | None:
    """The manifest of the study at `path`; None where a new study may begin."""
    file = path / MANIFEST
    if not file.exists():
        strangers = [one.name for one in path.iterdir() if not one.name.startswith(".")] if path.exists() else []
        if strangers:
            raise UsageError(f"{path}: not a study: it has no {MANIFEST}, but holds {strangers[0]}")
        return None
    manifest = documents.read(file)
    if manifest.whole("schema") != SCHEMA:
        manifest.refuse("schema", f"this program reads schema {SCHEMA}")
    for cell in manifest.objects("cells"):
        cell.file_name("key")
    return manifest.values


def _lock(lock: IO[str], path: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UsageError(f"{path}: another process is running this study") from None


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
