# SPDX-License-Identifier: Apache-2.0
"""convbwd_bench as a person sees it on a terminal, and as programs read it."""

from __future__ import annotations

import csv
import json
import os
import statistics
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PROBLEM = "--problem=mb1ic5ih9oc7kh3sh2"  # winograd refuses its stride


@pytest.fixture
def race(convbwd_bench: Path, tmp_path: Path) -> Callable[..., tuple[str, Any]]:
    """Runs it; what it said on stdout, and its document."""
    out = tmp_path / "cell.json"

    def run(*flags: str, **variables: str) -> tuple[str, Any]:
        command = [convbwd_bench, *flags, f"--benchmark_out={out}"]
        environment = os.environ | variables
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, env=environment)
        return done.stdout, json.loads(out.read_text())

    return run


@pytest.fixture
def others() -> Iterator[None]:
    """Somebody else keeps every CPU busy."""
    spin = [sys.executable, "-c", "while True: pass"]
    busy = [subprocess.Popen(spin) for _ in os.sched_getaffinity(0)]
    yield
    for process in busy:
        process.kill()
        process.wait()


@pytest.mark.usefixtures("others")
def test_a_cell_that_is_repeated_says_what_it_does_not_time_once(race: Callable[..., tuple[str, Any]]) -> None:
    shown, document = race(PROBLEM, "--impl=naive,winograd_f2_5x5", "--pass=data", "--cell_seconds=1.5")
    assert document["context"]["noisy"]
    assert shown.count("'skip: ") == 1, "Google Benchmark's line, not the one of the ranking"
    rounds = [entry["repetition_index"] for entry in document["benchmarks"] if "/naive:" in entry["name"]]
    assert rounds == list(range(len(rounds))), "those of the second attempt alone"
    assert shown.count("/naive:") > len(rounds), "there was a first"


def test_a_row_too_slow_for_its_cell_is_timed_by_the_run_that_proved_it(race: Callable[..., tuple[str, Any]]) -> None:
    for flags, proof_run in ([], 0), (["--cell_seconds=0.02"], 1):
        _, document = race("--problem=mb4ic16ih28oc16kh3", "--impl=naive", "--pass=weights", *flags)
        (entry,) = document["benchmarks"]
        assert entry["proof_run"] == proof_run, "a twentieth of 20 ms is not enough for it"


def test_a_cell_ends_with_its_ranking(race: Callable[..., tuple[str, Any]]) -> None:
    shown, document = race(PROBLEM, "--impl=naive,as_convolution,winograd_f2_5x5", "--rounds=7")
    for pass_ in ("data", "weights"):
        heading, titles, *lines = shown[shown.index(f"\n{pass_} problem:") :].strip().split("\n\n")[0].splitlines()
        assert heading.startswith(f"{pass_} problem:mb1ic5ih9oc7oh4kh3sh2ph0, native, warm, threads:1, ")
        assert titles.split("  ")[0] == "contender"
        assert lines[2].startswith("winograd_f2_5x5:")
        assert "  skip: " in lines[2]
        entries = [entry for entry in document["benchmarks"] if entry["name"].startswith(pass_)]
        medians = {
            title: statistics.median(entry["real_time"] for entry in entries if f"/{title}/" in entry["name"])
            for title in (line.split()[0] for line in lines[:2])
        }
        assert list(medians) == sorted(medians, key=lambda title: medians[title])
        assert [line.split()[5] for line in lines[:2]] == ["7", "7"], "rounds"


@pytest.mark.parametrize("format_", ["json", "csv"])
def test_what_programs_read_is_free_of_it(race: Callable[..., tuple[str, Any]], format_: str) -> None:
    for flags, variables in (([f"--benchmark_format={format_}"], {}), ([], {"BENCHMARK_FORMAT": format_})):
        shown, _ = race(PROBLEM, "--impl=naive,winograd_f2_5x5", "--pass=data", *flags, **variables)
        assert "contender" not in shown
        if format_ == "json":
            assert len(json.loads(shown)["benchmarks"]) == 2, "of one attempt"
        else:
            header, *rows = csv.reader(shown.splitlines())
            assert [row[0].split("/")[2].split(":")[0] for row in rows] == ["winograd_f2_5x5", "naive"]
            assert len(rows[1]) == len(header)
