# SPDX-License-Identifier: Apache-2.0
"""Being asked to stop, by Ctrl-C, by `kill`, or by a terminal that goes away: three signals, one orderly end."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from typing import TYPE_CHECKING, NoReturn

from convbwd_study.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Handler = Callable[..., None]

SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}


@contextlib.contextmanager
def answered_by(handler: Handler) -> Iterator[None]:
    """The three signals call `handler`. Whoever ignores hang-ups (nohup) goes on to do so."""
    ignored = {signal.SIGHUP} if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN else set()
    before = {number: signal.signal(number, handler) for number in SIGNALS - ignored}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """The signals wait, but for the moments in which they are let in: a line half printed by a library is no place to
    be interrupted at."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def let_in() -> Iterator[None]:
    """Signals that were held back, by scripts/study until somebody can answer them or by `held_back`, come now."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def drop_refused_output() -> None:
    """What a terminal that went away did not take would be written again when Python ends, and its refusal become the
    exit code."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)


def open_to_signals() -> None:
    """For a new process, which would inherit what is held back."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


def leave(*_: object) -> NoReturn:
    """Without a word; for moments in which there is nothing to tidy up."""
    os._exit(ExitCode.INTERRUPTED)


def interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt
