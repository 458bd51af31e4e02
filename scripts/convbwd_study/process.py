# SPDX-License-Identifier: Apache-2.0
"""One process under supervision: its steps are followed, its silence is timed, its memory is limited, and it never
outlives us."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import select
import signal
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from convbwd_study import interrupts
from convbwd_study.machine import available_memory, memory_kills

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

POLL_SECONDS = 0.05
KEPT_STDERR = 64 * 1024
DOING = {"predict": "predicting its time", "plan": "planning", "prove": "proving", "time": "timing"}

_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Step:
    contender: str  # name:isa
    name: str


@dataclass(frozen=True)
class Outcome:
    """How a process ended, and who was running when it did."""

    code: int  # negative: the signal that ended it
    timed_out: bool
    culprit: Step | None  # last step begun and not ended
    stderr: str  # its tail
    memory_kill: bool  # the kernel killed somebody meanwhile, for lack of memory

    def verdict(self, timeout: float) -> str:
        """`crashed (SIGSEGV) while proving`, for the error message of the culprit's entry."""
        doing = f" while {DOING.get(self.culprit.name, self.culprit.name)}" if self.culprit else ""
        if self.timed_out:
            return f"timeout after {timeout:g} s{doing}"
        refused = any(sign in self.stderr for sign in ("bad_alloc", "Cannot allocate memory"))
        if refused or (self.code == -signal.SIGKILL and self.memory_kill):
            return f"out of memory{doing}"
        if self.code == -signal.SIGKILL:
            return f"killed (signal 9){doing}"
        if self.code < 0:
            return f"crashed ({_signal_name(-self.code)}){doing}"
        return f"exited with code {self.code}{doing}"


def supervise(argv: Sequence[str], events: Path, timeout: float, tick: Callable[[], None]) -> Outcome:
    """Runs `argv` to its end, or until it has announced no step in `events` for `timeout` seconds.

    The process gets a group of its own, which is killed as a whole whatever happens here, and dies with us even when
    we are killed. Allocations beyond what the machine has free fail instead of taking the machine down. `tick` is
    called a few times a second. Signals are let in while it waits.
    """
    kills = memory_kills()
    process = subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=_bind(available_memory()),  # safe: this program has no threads
    )
    assert process.stderr is not None
    stream = process.stderr.fileno()
    os.set_blocking(stream, False)
    steps, stderr, timed_out = _Steps(events), b"", False
    last_sign = time.monotonic()
    try:
        while process.poll() is None and not timed_out:
            with interrupts.let_in():
                spoke = select.select([stream], [], [], POLL_SECONDS)[0]
            if spoke:
                stderr = (stderr + (_read(stream) or _pause()))[-KEPT_STDERR:]
            if steps.news():
                last_sign = time.monotonic()
            timed_out = time.monotonic() - last_sign > timeout
            tick()
    finally:
        _kill_group(process)
    stderr = (stderr + _read(stream))[-KEPT_STDERR:]
    process.stderr.close()
    steps.news()
    return Outcome(
        process.returncode, timed_out, steps.open_step, stderr.decode(errors="replace"), memory_kills() > kills
    )


class _Steps:
    """Follows an event stream; knows the step that was begun last and has not ended."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.offset = 0
        self.open_step: Step | None = None

    def news(self) -> bool:
        """Reads on; was there anything new? A line not yet whole waits for its end."""
        try:
            with self.file.open("rb") as stream:
                stream.seek(self.offset)
                whole, newline, _ = stream.read().rpartition(b"\n")
        except FileNotFoundError:
            return False
        self.offset += len(whole) + len(newline)
        for line in whole.splitlines():
            self._take(line)
        return bool(newline)

    def _take(self, line: bytes) -> None:
        try:
            event = json.loads(line)
            kind = event["event"]
            if kind == "begin":
                self.open_step = Step(str(event["contender"]), str(event["step"]))
            elif kind in ("end", "cell"):
                self.open_step = None
        except (ValueError, KeyError, TypeError):
            pass  # a contender wrote into our stream; what it says names nobody


def _bind(memory: int | None) -> Callable[[], None]:
    """What the child does to itself before it becomes the program."""
    _, hardest = resource.getrlimit(resource.RLIMIT_DATA)
    limit = hardest if memory is None else memory * 9 // 10
    if hardest != resource.RLIM_INFINITY:
        limit = min(limit, hardest)

    def bind() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        interrupts.open_to_signals()
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))

    return bind


def _read(stream: int) -> bytes:
    try:
        return os.read(stream, KEPT_STDERR)
    except BlockingIOError:
        return b""


def _pause() -> bytes:
    """The process closed its stderr, which select() then reports at once, for ever."""
    time.sleep(POLL_SECONDS)
    return b""


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
