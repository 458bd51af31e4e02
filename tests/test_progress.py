# SPDX-License-Identifier: Apache-2.0
"""What a user sees while a study runs."""

from __future__ import annotations

import errno
import io
import os
import pty
from typing import TYPE_CHECKING

import pytest
from convbwd_study.errors import ExitCode
from convbwd_study.progress import duration

if TYPE_CHECKING:
    from desk import Desk


def test_lines_say_how_far_and_how_long(desk: Desk) -> None:
    lines = [line for line in desk.run().output.splitlines() if " cells, " in line]
    assert [line.split()[0] for line in lines] == ["1/4", "2/4", "3/4", "4/4"]
    assert all("to go: tiny:conv" in line for line in lines)


def test_lines_name_the_conditions_that_vary(desk: Desk) -> None:
    def labels(*arguments: str) -> set[str]:
        lines = [line for line in desk.run("--pass", "data", *arguments).output.splitlines() if " cells, " in line]
        return {line.partition("to go: tiny:conv1 data")[2].removesuffix(" done") for line in lines if "conv1" in line}

    assert labels("--threads", "2") == {""}
    assert labels("--threads", "1,2") == {", 1 thread"}, "the other one is there already"
    assert labels("--threads", "1,2", "--layout", "nchw,nhwc", "--cache", "cold") == {
        *(", nchw, 1 thread", ", nchw, 2 threads", ", nhwc, 1 thread", ", nhwc, 2 threads"),
    }
    assert ", cold, avx2" in labels("--threads", "1", "--cache", "warm,cold", "--isa", "all")


def test_a_terminal_gets_a_bar_with_the_time_to_go(desk: Desk) -> None:
    desk.build.behave(seconds=0.06)
    controller, terminal = pty.openpty()
    at_work = desk.start(stdout=terminal, stderr=terminal)
    os.close(terminal)
    seen = io.BytesIO()
    try:
        while chunk := os.read(controller, 4096):
            seen.write(chunk)
    except OSError as error:
        assert error.errno == errno.EIO  # how a terminal says that everyone has left
    assert at_work.wait(timeout=20) == ExitCode.GOOD
    shown = seen.getvalue().decode()
    assert "s to go" in shown
    assert "3/4" in shown
    assert "━" in shown


@pytest.mark.parametrize("seconds, text", [(0.4, "0 s"), (59.4, "59 s"), (245, "4 min 05 s"), (4800, "1 h 20 min")])
def test_durations_read_well(seconds: float, text: str) -> None:
    assert duration(seconds) == text
