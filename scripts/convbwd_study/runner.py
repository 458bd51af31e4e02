# SPDX-License-Identifier: Apache-2.0
"""Runs the cells of a study, one process each. A crash or a hang costs one row, not the cell."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from convbwd_study.binary import last_line
from convbwd_study.budget import Budget, Share
from convbwd_study.errors import BadDocument, DiskFull, ExitCode, NothingMatched, StudyError, UsageError
from convbwd_study.interrupts import held_back
from convbwd_study.process import supervise

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from convbwd_study.binary import Build
    from convbwd_study.cell_document import CellDocument
    from convbwd_study.plan import Cell, Options
    from convbwd_study.process import Outcome
    from convbwd_study.progress import Progress
    from convbwd_study.study import Study

LEAST_TIMEOUT = 60.0  # seconds without a step announced
TIMEOUT_ROWS = 10  # a proof runs a row a few times, on a machine that may be busy
MOST_HANGS = 2  # of one contender, before the cells that follow leave it out


@dataclass
class Tally:
    """What came out of a study's cells."""

    timed: int = 0
    skipped: int = 0
    wrong: list[str] = field(default_factory=list)  # "cell: row: message"
    failed: list[str] = field(default_factory=list)

    def add(self, cell: Cell, document: CellDocument) -> None:
        self.timed += len(document.timed)
        self.skipped += len(document.rows("skip"))
        self.wrong += [f"{cell.label}: {title}: {message}" for title, message in document.rows("wrong").items()]
        self.failed += [f"{cell.label}: {title}: {message}" for title, message in document.rows("failed").items()]

    @property
    def exit_code(self) -> ExitCode:
        if self.wrong:
            return ExitCode.WRONG
        if self.failed:
            return ExitCode.SOME_FAILED
        return ExitCode.GOOD if self.timed else ExitCode.NOTHING_MATCHED


def tally_of(study: Study) -> Tally:
    """The outcome as the folder has it now: the same whether the cells ran today or before."""
    tally = Tally()
    for cell in study.plan.cells:
        if document := study.done.get(cell.key):
            tally.add(cell, document)
        elif reason := study.manifest["failed"].get(cell.key):
            tally.failed.append(f"{cell.label}: {reason}; see {study.log_of(cell)}")
    return tally


def run_study(study: Study, build: Build, progress: Progress, timeout: float | None = None) -> None:
    """Runs every cell that is not there yet, then noisy ones once more. What is finished stays, whenever and however
    this ends: signals are answered while a process runs, never while its result is taken in."""
    remaining = study.remaining()
    runner = _Runner(study, build, progress, timeout, Budget(study.plan.options.budget, study.plan.cells, remaining))
    with held_back(), progress:
        for cell in remaining:
            runner.run(cell)
        runner.repeat_noisy()


class _Runner:
    def __init__(self, study: Study, build: Build, progress: Progress, timeout: float | None, budget: Budget) -> None:
        self.study = study
        self.build = build
        self.progress = progress
        self.timeout = timeout
        self.budget = budget
        self.hung: dict[str, list[str]] = {}  # contender -> labels of the cells it hung in

    def run(self, cell: Cell) -> None:
        """Runs a cell; one without a result is recorded as failed, and the study goes on."""
        log: list[str] = []
        with self._at_work(cell, cell.label):
            try:
                self._race(cell, log, self.study.accept)
                if log:
                    self.study.write_log(cell, "\n".join(log))
            except _CellFailed as failure:
                self.study.fail(cell, str(failure), "\n".join(log))
                self.progress.say(f"{cell.label}: {failure}")

    def repeat_noisy(self) -> None:
        """Gives noisy cells a second chance, while there is time for it; none to wrong rows to go unseen."""
        repeated: set[str] = set()
        while cells := self.budget.again(
            cell
            for cell in self.study.plan.cells
            if cell.key in self.study.done.keys() - repeated
            and self.study.noise_of(cell)
            and not self.study.done[cell.key].rows("wrong")
        ):
            repeated |= {cell.key for cell in cells}
            for cell in cells:
                self._repeat(cell)

    def _repeat(self, cell: Cell) -> None:
        was = self.study.noise_of(cell)
        log: list[str] = []
        with self._at_work(cell, f"{cell.label}, once more", cells=0):
            try:
                self._race(cell, log, self.study.accept_better)
            except _CellFailed as failure:
                log.append(str(failure))
            if log:
                self.study.write_log(cell, "\n".join(log), again=True)
        outcome = "noisy again, the better result is kept" if self.study.noise_of(cell) else "quiet now"
        self.progress.say(f"{cell.label} was noisy ({was}): run once more, {outcome}")

    @contextlib.contextmanager
    def _at_work(self, cell: Cell, label: str, cells: int = 1) -> Iterator[None]:
        if self.build.digest() != self.study.plan.binary:
            raise StudyError(
                f"{self.build.bench} was rebuilt during the study; the same command goes on with the new one"
            )
        start = time.monotonic()
        self.progress.begin(label)
        yield
        self.budget.finished(cell, time.monotonic() - start)
        self.progress.end(self.budget.seconds_to_go(), cells)

    def _race(self, cell: Cell, log: list[str], accept: Callable[[Cell, Path], object]) -> None:
        """Runs the process of a cell until it leaves a good document, each time without the culprit of the last."""
        share = self.budget.share(cell)
        timeout = self.timeout or max(LEAST_TIMEOUT, TIMEOUT_ROWS * share.row)
        excluded = {
            contender: f"failed: not run, for it hung in {' and in '.join(cells)}"
            for contender, cells in self.hung.items()
            if len(cells) >= MOST_HANGS
        }
        while True:
            with TemporaryDirectory(dir=self.study.running) as folder:
                out, events = Path(folder) / "cell.json", Path(folder) / "events.jsonl"
                argv = _command(self.build, cell, self.study.plan.options, share, excluded, out, events)
                outcome = supervise(argv, events, timeout, lambda: self.progress.tick(self.budget.seconds_to_go()))
                if outcome.code == ExitCode.INTERRUPTED:
                    raise KeyboardInterrupt
                if out.exists():
                    try:
                        accept(cell, out)
                    except BadDocument as error:
                        rejected = self.study.log_of(cell).with_suffix(".rejected.json")
                        out.replace(rejected)
                        raise _CellFailed(str(error).replace(str(out), str(rejected))) from None
                    return
            verdict = outcome.verdict(timeout)
            _stop_where_hopeless(outcome)
            culprit = outcome.culprit.contender if outcome.culprit else None
            log.append(f"{culprit or cell.label} {verdict}\n{outcome.stderr}")
            if culprit is None or culprit in excluded:
                raise _CellFailed(f"{verdict}; it cannot be told which row is to blame")
            excluded[culprit] = f"failed: {verdict}"
            self.progress.say(f"{cell.label}: {culprit} {verdict}; again without it")
            if outcome.timed_out:
                self.hung.setdefault(culprit, []).append(cell.label)


class _CellFailed(Exception):
    """A whole cell has no result; the message is the reason."""


def _command(
    build: Build, cell: Cell, options: Options, share: Share, excluded: Mapping[str, str], out: Path, events: Path
) -> list[str]:
    what = [f"--workload={cell.source}", f"--layer={cell.layer}"] if cell.source else [f"--problem={cell.problem}"]
    return [
        str(build.bench),
        *what,
        *([f"--batch={options.batch}"] if options.batch else []),
        *([f"--impl={','.join(options.implementations)}"] if options.implementations else []),
        f"--pass={cell.pass_}",
        f"--layout={cell.layout}",
        f"--cache={cell.cache}",
        f"--threads={cell.threads}",
        f"--isa={cell.isa_cap}",
        f"--seed={options.seed}",
        f"--cell_seconds={share.cell:.3f}",
        f"--row_seconds={share.row:.3f}",
        "--stages",
        *(f"--exclude={contender}={reason}" for contender, reason in excluded.items()),
        f"--events={events}",
        f"--benchmark_out={out}",
    ]


def _stop_where_hopeless(outcome: Outcome) -> None:
    """Ends the study where every other cell would end the same way."""
    if os.strerror(errno.ENOSPC) in outcome.stderr:
        raise DiskFull(f"the disk is full ({last_line(outcome.stderr)}); make room, then the same command goes on")
    if outcome.culprit is None and outcome.code == ExitCode.USAGE:
        raise UsageError(last_line(outcome.stderr))
    if outcome.culprit is None and outcome.code == ExitCode.NOTHING_MATCHED:
        raise NothingMatched(last_line(outcome.stderr))
