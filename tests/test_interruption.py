# SPDX-License-Identifier: Apache-2.0
"""A study that is interrupted, killed, or whose program changes loses nothing and goes on."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from convbwd_study import interrupts, study
from convbwd_study.errors import ExitCode
from desk import SCRIPTS, running_with, wait_until

if TYPE_CHECKING:
    from desk import Desk


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_study_goes_on(desk: Desk, number: signal.Signals) -> None:
    desk.build.behave(seconds=0.05)
    at_work = desk.start()
    desk.wait_for_cells(1)
    at_work.send_signal(number)
    output, _ = at_work.communicate(timeout=10)
    assert at_work.returncode == ExitCode.INTERRUPTED, output
    assert "of 4 cells are kept; to go on: scripts/study run --build" in output
    assert not running_with(str(desk.build.folder))
    kept = {file: file.stat().st_mtime_ns for file in (desk.out / "cells").iterdir()}
    assert 1 <= len(kept) < 4
    again = desk.start()
    assert again.wait(timeout=20) == ExitCode.GOOD
    assert len(desk.documents()) == 4
    assert {file: file.stat().st_mtime_ns for file in kept} == kept


def test_a_signal_waits_until_it_is_let_in() -> None:
    with interrupts.answered_by(interrupts.interrupt), interrupts.held_back():
        signal.raise_signal(signal.SIGTERM)  # at this thread: the test runner has others
        assert signal.SIGTERM in signal.sigpending()
        with pytest.raises(KeyboardInterrupt), interrupts.let_in():
            pytest.fail("the signal was let in and did not come")
        signal.raise_signal(signal.SIGINT)  # a second one neither is lost nor comes before its time
        with pytest.raises(KeyboardInterrupt), interrupts.let_in():
            pytest.fail("the second signal was lost")
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, []) & interrupts.SIGNALS


def test_a_study_whose_terminal_goes_away_ends_in_order(desk: Desk) -> None:
    desk.build.behave(seconds=0.1)
    controller, terminal = pty.openpty()
    at_work = desk.start(stdout=terminal, stderr=terminal)
    os.close(terminal)
    desk.wait_for_cells(1)
    os.close(controller)  # whoever writes now is refused
    at_work.send_signal(signal.SIGHUP)
    assert at_work.wait(timeout=20) == ExitCode.INTERRUPTED
    assert desk.start().wait(timeout=60) == ExitCode.GOOD


def test_a_study_under_nohup_does_not_mind(desk: Desk) -> None:
    desk.build.behave(seconds=0.03)
    at_work = desk.start(preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    desk.wait_for_cells(1)
    at_work.send_signal(signal.SIGHUP)
    assert at_work.wait(timeout=60) == ExitCode.GOOD


@pytest.mark.parametrize("milliseconds", [10, 30, 60, 100, 200, 400, 600, 800])
def test_an_interruption_while_python_loads_leaves_no_traceback(milliseconds: int) -> None:
    start = (SCRIPTS / "study").read_text().splitlines()[-1]
    command = ["bash", "-c", f"root=$1; shift; {start}", "study", str(SCRIPTS.parent), "list"]
    loading = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: Path(f"/proc/{loading.pid}/cmdline").read_bytes().split(b"\0")[0].endswith(b"python"))
    time.sleep(milliseconds / 1000)
    loading.send_signal(signal.SIGINT)
    _, complaint = loading.communicate(timeout=60)
    assert complaint == ""
    assert loading.returncode in (ExitCode.INTERRUPTED, ExitCode.GOOD)


def test_a_killed_study_goes_on(desk: Desk) -> None:
    desk.build.behave(seconds=0.02)
    moment = 0.1
    while True:
        at_work = desk.start()
        try:
            at_work.wait(timeout=moment)
            break
        except subprocess.TimeoutExpired:
            at_work.kill()
            at_work.wait()
            wait_until(lambda: not running_with(str(desk.build.folder)))
            moment += 0.13
        if (desk.out / "cells").exists():
            desk.documents()  # each is whole
    assert at_work.returncode == ExitCode.GOOD
    assert len(desk.documents()) == 4
    assert {cell["key"] for cell in desk.manifest()["cells"]} == desk.documents().keys()


def test_two_at_once_is_refused(desk: Desk) -> None:
    desk.build.behave(seconds=0.05)
    first = desk.start()
    desk.wait_for_cells(1)
    second = desk.run()
    assert second.exit_code == ExitCode.USAGE
    assert "another process is running this study" in second.output
    assert first.wait(timeout=20) == ExitCode.GOOD


def test_a_rebuilt_program_runs_its_cells_again_and_the_old_ones_are_kept_aside(desk: Desk) -> None:
    desk.run()
    old = desk.documents()
    desk.build.rebuild(2)
    result = desk.run()
    assert "4 cells of another build or of other options set aside" in result.output
    assert len(desk.build.calls()) == 8
    assert not old.keys() & desk.documents().keys()
    desk.build.rebuild(1)
    desk.run()
    assert desk.documents() == old
    assert len(desk.build.calls()) == 8, "taken back, not run again"


def test_other_options_are_never_mixed_in(desk: Desk) -> None:
    desk.run("--impl", "naive")
    desk.run("--impl", "naive,avx2")
    assert all(len(document["benchmarks"]) == 2 for document in desk.documents().values())


def test_a_program_rebuilt_meanwhile_stops_the_study(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    accept = study.Study.accept

    def accept_and_rebuild(*arguments: Any) -> Any:
        desk.build.rebuild(2)
        return accept(*arguments)

    monkeypatch.setattr(study.Study, "accept", accept_and_rebuild)
    result = desk.run()
    assert result.exit_code == ExitCode.SOME_FAILED
    assert "was rebuilt during the study" in result.output
    assert len(desk.documents()) == 1
