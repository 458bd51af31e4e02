# SPDX-License-Identifier: Apache-2.0
"""The runner against a build that misbehaves: whatever a contender does costs one row."""

from __future__ import annotations

import itertools
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from convbwd_study import cli, process, runner
from convbwd_study.binary import DEFAULT_BUILD
from convbwd_study.errors import ExitCode
from desk import running_with
from typer.testing import CliRunner

if TYPE_CHECKING:
    from desk import Desk


# --- a study that goes well --------------------------------------------------------------------------------------


def test_every_cell_is_run_once_and_listed(desk: Desk) -> None:
    result = desk.run("--layout", "native,nchw", "--threads", "1,2")
    assert result.exit_code == ExitCode.GOOD, result.output
    cells = desk.manifest()["cells"]
    assert len(cells) == 2 * 2 * 2 * 2 == len(desk.documents())
    assert {cell["key"] for cell in cells} == desk.documents().keys()
    assert list(cells[0]) == [
        *("key", "workload", "layer", "count", "problem", "layout", "cache", "threads", "isa_cap", "pass")
    ]
    manifest = desk.manifest()
    assert manifest["schema"] == 1
    assert manifest["machine"]["cpu_model"] == "Fake CPU"
    assert "flags_avx2" in manifest["build"]
    assert [layer["count"] for layer in manifest["workloads"]["tiny"]["layers"]] == [1, 3]
    assert len(manifest["workloads"]["tiny"]["digest"]) == 64
    assert not list((desk.out / "running").iterdir())
    assert "48 rows timed, 16 skipped, 0 wrong, 0 failed" in result.output
    assert "tiny: skipped line 3: 3-D" in result.output


def test_a_complete_study_runs_nothing_again(desk: Desk) -> None:
    desk.run()
    before = desk.documents(), desk.manifest(), len(desk.build.calls())
    assert desk.run().exit_code == ExitCode.GOOD
    assert (desk.documents(), desk.manifest(), len(desk.build.calls())) == before


def test_flags_reach_the_program_as_they_were_given(desk: Desk) -> None:
    desk.run("--impl", "naive,avx2:avx2", "--pass", "data", "--cache", "cold", "--batch", "7", "--isa", "baseline")
    for call in desk.build.calls():
        assert call["impl"] == ["naive,avx2:avx2"]
        assert (call["pass"], call["cache"], call["batch"], call["isa"]) == (["data"], ["cold"], ["7"], ["baseline"])
        assert call["workload"] == ["tiny"] or Path(call["workload"][0]).is_absolute()
        assert float(call["cell_seconds"][0]) >= 0
        assert float(call["row_seconds"][0]) > 0, "0 would mean no limit"


def test_every_run_is_asked_for_its_stages(desk: Desk) -> None:
    desk.run("--pass", "data")
    assert desk.build.calls()
    assert all("stages" in call for call in desk.build.calls())


def test_isa_all_is_one_cell_for_each_cap_and_best_the_highest(desk: Desk) -> None:
    desk.run("--isa", "all")
    assert {cell["isa_cap"] for cell in desk.manifest()["cells"]} == {"avx2", "baseline"}
    desk.run("--isa", "best")
    assert {cell["isa_cap"] for cell in desk.manifest()["cells"]} == {"avx2"}
    assert len(desk.documents()) == 4


def test_bare_problems_become_one_workload(desk: Desk) -> None:
    result = desk.run("--problem", "ic8ih5oc8kh3", "--problem", "ic3ih5oc8kh1", "--problem", "ic8ih5oc8kh3")
    assert result.exit_code == ExitCode.GOOD, result.output
    assert {cell["workload"] for cell in desk.manifest()["cells"]} == {"problem"}
    assert len(desk.documents()) == 4
    assert "layer" not in desk.build.calls()[0]


def test_names_are_data(desk: Desk, tmp_path: Path) -> None:
    evil = "$(touch pwned);`touch pwned` --help [red]..x"
    file = tmp_path / "my nets.json"
    file.write_text(json.dumps([[evil, "ic1ih3oc1kh2", 1]]))
    assert desk.run("--workload", str(file)).exit_code == ExitCode.GOOD
    assert desk.build.calls()[0]["layer"] == [evil]
    assert not list(tmp_path.rglob("pwned"))
    assert {file.parent for file in desk.out.rglob("*.json")} == {desk.out, desk.out / "cells"}


# --- contenders that misbehave ------------------------------------------------------------------------------------


@pytest.mark.parametrize("step, doing", [("plan", "planning"), ("prove", "proving"), ("time", "timing")])
def test_a_crash_costs_one_row(desk: Desk, step: str, doing: str) -> None:
    desk.build.behave(rows={"reordered": {"do": "crash", "step": step, "only": "conv1 data"}})
    result = desk.run()
    assert result.exit_code == ExitCode.SOME_FAILED
    assert desk.errors() == [f"failed: crashed (SIGSEGV) while {doing}"]
    assert "11 rows timed, 4 skipped, 0 wrong, 1 failed" in result.output
    assert len(desk.documents()) == 4
    assert len(desk.build.calls()) == 5
    assert len(list((desk.out / "logs").iterdir())) == 1
    assert desk.run().exit_code == ExitCode.SOME_FAILED, "a complete study keeps its exit code"
    assert len(desk.build.calls()) == 5


def test_every_row_may_crash(desk: Desk) -> None:
    desk.build.behave(rows={name: {"do": "abort"} for name in ("naive", "reordered", "avx2")})
    assert desk.run("--pass", "data").exit_code == ExitCode.SOME_FAILED
    assert desk.errors() == ["failed: crashed (SIGABRT) while proving"] * 6


def test_a_crash_before_any_step_fails_the_cell_which_is_tried_again(desk: Desk) -> None:
    desk.build.behave(before="crash", stderr="the loader says no")
    result = desk.run("--pass", "data")
    assert result.exit_code == ExitCode.SOME_FAILED
    assert "crashed (SIGSEGV); it cannot be told which row is to blame" in result.output
    assert not desk.documents()
    assert len(desk.manifest()["failed"]) == 2
    assert "the loader says no" in next((desk.out / "logs").iterdir()).read_text()
    desk.build.behave()
    assert desk.run("--pass", "data").exit_code == ExitCode.GOOD
    assert not desk.manifest()["failed"]


def test_a_crash_after_the_document_costs_nothing(desk: Desk) -> None:
    desk.build.behave(after="crash")
    assert desk.run().exit_code == ExitCode.GOOD
    assert len(desk.documents()) == 4


def test_a_hang_costs_one_row_and_later_cells_do_without_it(desk: Desk) -> None:
    desk.build.behave(rows={"avx2": {"do": "hang", "step": "time"}})
    started = time.monotonic()
    result = desk.run("--timeout", "0.5")
    assert time.monotonic() - started < 15
    assert result.exit_code == ExitCode.SOME_FAILED
    timeout = "failed: timeout after 0.5 s while timing"
    left_out = "failed: not run, for it hung in tiny:conv1 data and in tiny:conv1 weights"
    assert sorted(desk.errors()) == sorted([timeout, timeout, left_out, left_out])
    assert not running_with("987654"), "its children are killed with it"


def test_a_row_that_asks_for_too_much_memory_is_told(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "available_memory", lambda: 256 << 20)
    desk.build.behave(rows={"avx2": {"do": "leak"}})
    assert desk.run().exit_code == ExitCode.SOME_FAILED
    assert desk.errors() == ["failed: out of memory while proving"] * 4


@pytest.mark.parametrize("kills, verdict", [([0, 1], "out of memory"), ([7, 7], "killed (signal 9)")])
def test_a_killed_row_ran_out_of_memory_only_where_the_kernel_says_so(
    desk: Desk, kills: list[int], verdict: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = itertools.cycle(kills)
    monkeypatch.setattr(process, "memory_kills", lambda: next(counted))
    desk.build.behave(rows={"avx2": {"do": "killed"}})
    assert desk.run().exit_code == ExitCode.SOME_FAILED
    assert desk.errors() == [f"failed: {verdict} while proving"] * 4


def test_a_row_that_ends_the_process_is_told(desk: Desk) -> None:
    desk.build.behave(rows={"naive": {"do": "exit"}})
    assert desk.run().exit_code == ExitCode.SOME_FAILED
    assert desk.errors() == ["failed: exited with code 0 while proving"] * 4


def test_logs_keep_the_tail_only(desk: Desk) -> None:
    desk.build.behave(rows={"avx2": {"do": "flood"}})
    assert desk.run("--pass", "data").exit_code == ExitCode.SOME_FAILED
    for log in (desk.out / "logs").iterdir():
        assert log.stat().st_size < 2 * process.KEPT_STDERR


@pytest.mark.parametrize(
    "wish, complaint",
    [
        ("truncated", "not JSON at line 1"),
        ("none", "cannot be told which row"),
        ({"context.convbwd_schema": "2"}, "context.convbwd_schema: expected one of 1"),
        ({"context.convbwd_schema": "-"}, "context.convbwd_schema: missing"),
        ({"context": []}, "context: expected an object"),
        ({"context.cpu_model": 7}, "context.cpu_model: expected text"),
        ({"context.problem": "ic1ih1"}, "context.problem: expected one of"),
        ({"context.threads": "64"}, "context.threads: expected one of"),
        ({"context.macs": "many"}, "context.macs: expected a number"),
        ({"benchmarks": []}, "benchmarks: no entry for avx2, naive, reordered"),
        ({"benchmarks.1": "-"}, "benchmarks: no entry for reordered"),
        ({"benchmarks.0.name": "data/other:conv1/naive:baseline/native/warm/threads:2"}, "benchmarks[0].name"),
        ({"benchmarks.0.real_time": "NaN"}, "has NaN"),
        ({"benchmarks.0.real_time": -1.0}, "benchmarks[0].real_time: expected at least 0"),
        ({"benchmarks.0.real_time": 0}, "benchmarks[0].real_time: expected a positive"),
        ({"benchmarks.3.error_message": "no reason"}, "benchmarks[3].error_message"),
    ],
)
def test_a_document_that_lies_is_refused_by_file_and_field(desk: Desk, wish: Any, complaint: str) -> None:
    desk.build.behave(document=wish)
    result = desk.run("--pass", "data", "--threads", "2")
    assert result.exit_code == ExitCode.SOME_FAILED
    assert complaint in result.output
    assert not desk.documents()
    if wish != "none":
        assert ".rejected.json" in result.output
        assert len(list((desk.out / "logs").glob("*.rejected.json"))) == 2


def test_a_damaged_cell_is_run_again(desk: Desk) -> None:
    desk.run()
    victim = desk.out / "cells" / f"{next(iter(desk.documents()))}.json"
    victim.write_bytes(victim.read_bytes()[:100])
    result = desk.run()
    assert result.exit_code == ExitCode.GOOD
    assert "not JSON" in result.output
    assert len(desk.build.calls()) == 5
    assert len(desk.documents()) == 4


# --- what comes out of it ------------------------------------------------------------------------------------------


def test_a_wrong_row_is_exit_1_even_where_others_failed(desk: Desk) -> None:
    wrong = "wrong: on whole numbers dx[0,1,2,3] is 4, expected 5"
    desk.build.behave(rows={"avx2": {"error": wrong}, "naive": {"do": "crash"}})
    result = desk.run()
    assert result.exit_code == ExitCode.WRONG
    assert f"tiny:conv1 data: avx2:avx2: {wrong}" in result.output


def test_nothing_timed_is_exit_3(desk: Desk) -> None:
    desk.build.behave(rows={name: {"error": "skip: groups"} for name in ("naive", "reordered", "avx2")})
    assert desk.run().exit_code == ExitCode.NOTHING_MATCHED


@pytest.mark.parametrize("code, exit_code", [(2, ExitCode.USAGE), (3, ExitCode.NOTHING_MATCHED), (130, 130), (7, 4)])
def test_what_the_program_refuses_ends_the_study(desk: Desk, code: int, exit_code: int) -> None:
    desk.build.behave(code=code, stderr="convbwd_bench: says why")
    result = desk.run()
    assert result.exit_code == exit_code
    assert len(desk.build.calls()) == (4 if code == 7 else 1)


def test_the_exit_code_is_of_the_worst() -> None:
    assert runner.Tally(timed=1).exit_code == ExitCode.GOOD
    assert runner.Tally().exit_code == ExitCode.NOTHING_MATCHED
    assert runner.Tally(timed=1, failed=["x"]).exit_code == ExitCode.SOME_FAILED
    assert runner.Tally(timed=1, failed=["x"], wrong=["y"]).exit_code == ExitCode.WRONG


@pytest.mark.skipif(not (DEFAULT_BUILD / "bench" / "convbwd_bench").exists(), reason="no release build")
def test_a_small_real_study(desk: Desk) -> None:
    arguments = ["run", "--problem", "mb1ic5ih9oc7kh3ph1", "--threads", "1", "--out", str(desk.out), "--budget", "4s"]
    result = CliRunner().invoke(cli.app, arguments)
    assert result.exit_code == ExitCode.GOOD, result.output
    assert len(desk.documents()) == 2
    calls = CliRunner().invoke(cli.app, arguments)
    assert calls.exit_code == ExitCode.GOOD
    assert "to go" not in calls.output
