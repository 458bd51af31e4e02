# SPDX-License-Identifier: Apache-2.0
"""How far a study is: a bar on a terminal, lines elsewhere. Both say when it will be done."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Protocol, Self

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as RichProgress

if TYPE_CHECKING:
    from rich.console import Console

LINE_SECONDS = 15.0
REFRESH_SECONDS = 0.25


class Progress(Protocol):
    """Told what happens, cell by cell; `to_go` is in seconds. A cell that is run again ends with `cells` = 0."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...
    def begin(self, label: str) -> None: ...
    def tick(self, to_go: float) -> None: ...
    def end(self, to_go: float, cells: int = 1) -> None: ...
    def say(self, message: str) -> None: ...


def progress_on(console: Console, done: int, total: int) -> Progress:
    return _Bar(console, done, total) if console.is_terminal else _Lines(console, done, total)


def duration(seconds: float) -> str:
    """`45 s`, `4 min 05 s`, `1 h 20 min`"""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


class _Bar:
    """Redrawn on ticks, not by a thread: threads and the start of a supervised process do not go together."""

    def __init__(self, console: Console, done: int, total: int) -> None:
        columns = (
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[eta]}", markup=False),
            TextColumn("{task.description}", markup=False),
        )
        self._rich = RichProgress(*columns, console=console, auto_refresh=False, expand=True)
        self._task = self._rich.add_task("", total=total, completed=done, eta="")
        self._drawn = 0.0

    def __enter__(self) -> Self:
        self._rich.start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):  # of a terminal that went away
            self._rich.update(self._task, description="")
            self._rich.stop()

    def begin(self, label: str) -> None:
        self._rich.update(self._task, description=label, refresh=True)

    def tick(self, to_go: float) -> None:
        if time.monotonic() - self._drawn > REFRESH_SECONDS:
            self._drawn = time.monotonic()
            self._rich.update(self._task, eta=f"{duration(to_go)} to go", refresh=True)

    def end(self, to_go: float, cells: int = 1) -> None:
        self._rich.update(self._task, advance=cells, eta=f"{duration(to_go)} to go", refresh=True)

    def say(self, message: str) -> None:
        self._rich.console.print(message, markup=False, highlight=False)


class _Lines:
    """A line a finished cell, and one every 15 seconds of a longer one."""

    def __init__(self, console: Console, done: int, total: int) -> None:
        self._console = console
        self._done = done
        self._total = total
        self._label = ""
        self._last_line = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def begin(self, label: str) -> None:
        self._label = label

    def tick(self, to_go: float) -> None:
        if time.monotonic() - self._last_line > LINE_SECONDS:
            self._line(to_go, "running")

    def end(self, to_go: float, cells: int = 1) -> None:
        self._done += cells
        self._line(to_go, "done")

    def say(self, message: str) -> None:
        self._console.print(message, markup=False, highlight=False, soft_wrap=True)

    def _line(self, to_go: float, state: str) -> None:
        self._last_line = time.monotonic()
        self.say(f"{self._done}/{self._total} cells, {duration(to_go)} to go: {self._label} {state}")
