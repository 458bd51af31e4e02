# SPDX-License-Identifier: Apache-2.0
"""What the runner knows about the machine and about the process that it watches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from convbwd_study import machine, process

if TYPE_CHECKING:
    from pathlib import Path


def test_a_memory_limit_is_respected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_control_group", lambda _: tmp_path)
    (tmp_path / "memory.max").write_text("max\n")
    assert (machine.available_memory() or 0) > 1 << 20
    (tmp_path / "memory.max").write_text("4096\n")
    assert machine.available_memory() == 4096


@pytest.mark.parametrize(
    "name, text",
    [
        ("memory.events", "low 0\nhigh 0\nmax 12\noom 3\noom_kill {}\noom_group_kill 9\n"),
        ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill {}\n"),
    ],
)
def test_kills_for_lack_of_memory_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    monkeypatch.setattr(machine, "_control_group", lambda _: tmp_path)
    elsewhere = machine.memory_kills()
    for kills in (0, 2):
        (tmp_path / name).write_text(text.format(kills))
        assert machine.memory_kills() - elsewhere == kills


def test_an_event_stream_names_who_was_running(tmp_path: Path) -> None:
    file = tmp_path / "events"
    steps = process._Steps(file)
    assert not steps.news()
    with file.open("w") as stream:
        stream.write('{"event":"begin","contender":"a:avx2","step":"plan"}\nnoise\n[1]\n{"event":"beg')
        stream.flush()
        assert steps.news()
        assert steps.open_step == process.Step("a:avx2", "plan")
        stream.write('in","contender":"b:avx2","step":"time"}\n')
        stream.flush()
        assert steps.news()
        assert not steps.news()
        assert steps.open_step == process.Step("b:avx2", "time")
        stream.write('{"event":"end","contender":"b:avx2","step":"time"}\n')
        stream.flush()
        steps.news()
        assert steps.open_step is None
