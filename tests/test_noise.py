# SPDX-License-Identifier: Apache-2.0
"""Cells that ran on a disturbed machine: how they are told, and their second chance at the end of a study."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import pytest
from convbwd_study.errors import ExitCode
from convbwd_study.noise import Measured, best_peaks, noise, quieter

if TYPE_CHECKING:
    from desk import Desk

STEALING = "the multiply-add peak went from 100.0 to 50.0 GFLOP/s"


def peaks_of(desk: Desk) -> dict[str, float]:
    contexts = [document["context"] for document in desk.documents().values()]
    return {f"{one['layer']} {one['pass']}": float(one["fma_peak_gflops_before"]) for one in contexts}


def run_of(desk: Desk, **machine: list[tuple[str, float]]) -> Any:
    """A study of four cells with time enough, each of which sees the machine as told, or at a peak of 100."""
    cells = {"conv1 data": [("", 100)], "conv1 weights": [("", 100)], "conv2 data": [("", 100)]}
    desk.build.behave(machine=cells | {name.replace("_", " "): states for name, states in machine.items()})
    return desk.run("--budget", "1m")


@pytest.mark.parametrize(
    "first, second, kept, told",
    [
        ((STEALING, 100), ("", 99), 99, "quiet now"),
        (("", 50), ("", 100), 100, "quiet now"),
        ((STEALING, 80), (STEALING, 90), 90, "noisy again, the better result is kept"),
        ((STEALING, 80), ("", 70), 80, "noisy again, the better result is kept"),
    ],
)
def test_a_noisy_cell_runs_once_more_and_the_quieter_result_is_kept(
    desk: Desk, first: tuple[str, float], second: tuple[str, float], kept: float, told: str
) -> None:
    result = run_of(desk, conv2_weights=[first, second])
    assert result.exit_code == ExitCode.GOOD, result.output
    assert len(desk.build.calls()) == 5
    assert len(desk.documents()) == 4
    assert peaks_of(desk)["conv2 weights"] == kept
    reason = first[0] or "the multiply-add peak was 50 GFLOP/s, 100 in other cells"
    assert f"tiny:conv2 weights was noisy ({reason}): run once more, {told}" in result.output
    assert "4/4 cells, 0 s to go: tiny:conv2 weights, once more done" in result.output
    assert run_of(desk).exit_code == ExitCode.GOOD
    assert len(desk.build.calls()) == 5, "a complete study runs nothing, noisy or not"


def test_a_quiet_study_repeats_nothing(desk: Desk) -> None:
    run_of(desk, conv2_weights=[("", 96)])
    assert len(desk.build.calls()) == 4


def test_a_peak_found_late_shows_who_had_less(desk: Desk) -> None:
    half = [("", 50), ("", 100)]
    run_of(desk, conv1_data=half, conv1_weights=half, conv2_data=half, conv2_weights=[(STEALING, 50), ("", 100)])
    assert peaks_of(desk) == dict.fromkeys(("conv1 data", "conv1 weights", "conv2 data", "conv2 weights"), 100)
    assert len(desk.build.calls()) == 8


def test_without_time_noisy_cells_stay(desk: Desk) -> None:
    desk.build.behave(machine={"conv1 data": [(STEALING, 2), ("", 2)]}, seconds=0.05)
    desk.run("--budget", "0.5s")
    assert len(desk.build.calls()) == 4


def test_a_second_run_that_fails_costs_nothing(desk: Desk) -> None:
    desk.build.behave(
        rows={"avx2": {"do": "crash", "only": "conv1 data", "from_run": 2}},
        machine={"conv1 data": [(STEALING, 2), ("", 2)]},
    )
    result = desk.run("--budget", "1m")
    assert result.exit_code == ExitCode.GOOD, result.output
    assert not desk.errors()
    assert "tiny:conv1 data: avx2:avx2 crashed (SIGSEGV) while proving; again without it" in result.output
    assert "crashed" in next((desk.out / "logs").glob("*.again.txt")).read_text()


def test_a_row_found_wrong_in_the_second_run_is_not_hushed_up(desk: Desk) -> None:
    desk.build.behave(
        rows={"avx2": {"error": "wrong: dx[0]", "only": "conv1 data", "from_run": 2}},
        machine={"conv1 data": [(STEALING, 2), (STEALING, 1)]},
    )
    assert desk.run("--budget", "1m").exit_code == ExitCode.WRONG
    assert desk.errors() == ["wrong: dx[0]"]


def test_a_row_found_wrong_in_the_first_run_gets_no_second(desk: Desk) -> None:
    desk.build.behave(rows={"avx2": {"error": "wrong: dx[0]"}}, machine={"conv1 data": [(STEALING, 2), ("", 2)]})
    assert desk.run("--budget", "1m").exit_code == ExitCode.WRONG
    assert len(desk.build.calls()) == 4


def test_a_kill_during_the_second_run_loses_nothing(desk: Desk) -> None:
    desk.build.behave(machine={"conv1 data": [(STEALING, 2), ("", 2)]}, seconds=0.03)
    at_work = desk.start("--budget", "1m")
    desk.wait_for_cells(4)
    at_work.kill()
    at_work.wait()
    before = {file: json.loads(file.read_text()) for file in (desk.out / "cells").iterdir()}
    assert len(before) == 4
    assert desk.run("--budget", "1m").exit_code == ExitCode.GOOD
    assert len(desk.documents()) == 4


def test_judgement() -> None:
    whole, half, other = Measured(2, "avx2", 100, ""), Measured(2, "avx2", 50, ""), Measured(1, "avx2", 50, "")
    best = best_peaks([half, whole, other])
    assert [noise(cell, best) for cell in (whole, other)] == ["", ""]
    assert noise(half, best) == "the multiply-add peak was 50 GFLOP/s, 100 in other cells"
    disturbed = Measured(2, "avx2", 100, STEALING)
    assert noise(disturbed, best) == STEALING
    assert quieter(whole, half, best)
    assert quieter(whole, disturbed, best)
    assert not quieter(half, disturbed, best)
    assert quieter(disturbed, half, best)
    unmeasured = Measured(2, "neon", math.nan, "")
    assert noise(unmeasured, best_peaks([unmeasured])) == ""
