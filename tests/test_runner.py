# SPDX-License-Identifier: Apache-2.0
"""The runner against a build that misbehaves: whatever a contender does costs one row, whatever we do loses nothing."""

from __future__ import annotations

import errno
import io
import json
import os
import pty
import signal
import subprocess
import sys
import time
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from convbwd_study import cli, machine, plan, process, runner, study
from convbwd_study.binary import DEFAULT_BUILD, Build, Layer, Workload
from convbwd_study.budget import LEAST_ROW_SECONDS, LEAST_TIMING, SECONDS_A_CELL, Budget
from convbwd_study.errors import DiskFull, ExitCode, UsageError
from convbwd_study.progress import duration
from fake_bench import FakeBuild
from typer.testing import CliRunner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"


class Desk:
    """A fake build, a folder to study in, and the command line."""

    def __init__(self, folder: Path) -> None:
        self.build = FakeBuild(folder / "build")
        self.out = folder / "study"

    def argv(self, *arguments: str) -> list[str]:
        workload = [] if any(a.startswith(("--workload", "--problem")) for a in arguments) else ["--workload", "tiny"]
        return ["run", "--build", str(self.build.folder), "--out", str(self.out), *workload, *arguments]

    def run(self, *arguments: str) -> Any:
        """In this process; `.exit_code`, `.output` with no traceback in it."""
        result = CliRunner().invoke(cli.app, self.argv("--budget", "1s", *arguments))
        assert "Traceback" not in result.output
        return result

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        environment = os.environ | {"PYTHONPATH": str(SCRIPTS)}
        command = [sys.executable, "-m", "convbwd_study", *self.argv(*arguments)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT} | options
        return subprocess.Popen(command, env=environment, text=True, **pipes)

    def documents(self) -> dict[str, Any]:
        return {file.stem: json.loads(file.read_text()) for file in sorted((self.out / "cells").glob("*.json"))}

    def errors(self) -> list[str]:
        """All error messages that are not about rows that were not built."""
        entries = [entry for document in self.documents().values() for entry in document["benchmarks"]]
        messages = [entry["error_message"] for entry in entries if entry.get("error_occurred")]
        return [message for message in messages if "not built" not in message]

    def manifest(self) -> dict[str, Any]:
        manifest: dict[str, Any] = json.loads((self.out / "manifest.json").read_text())
        return manifest

    def wait_for_cells(self, count: int) -> None:
        wait_until(lambda: len(list((self.out / "cells").glob("*.json"))) >= count)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def wait_until(happened: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def running_with(text: str) -> list[int]:
    """Processes whose command line holds `text`."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal() and int(folder.name) != os.getpid():
            try:
                if text in (folder / "cmdline").read_bytes().decode(errors="replace"):
                    found.append(int(folder.name))
            except OSError:
                continue
    return found


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


@pytest.mark.parametrize("deed", ["leak", "killed"])
def test_running_out_of_memory_costs_one_row(desk: Desk, deed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "available_memory", lambda: 256 << 20)
    desk.build.behave(rows={"avx2": {"do": deed}})
    assert desk.run().exit_code == ExitCode.SOME_FAILED
    assert desk.errors() == ["failed: out of memory while proving"] * 4


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


# --- exit codes ---------------------------------------------------------------------------------------------------


def test_a_wrong_row_is_exit_1_even_where_others_failed(desk: Desk) -> None:
    wrong = "wrong: on whole numbers dx[0,1,2,3] is 4, expected 5"
    desk.build.behave(rows={"avx2": {"error": wrong}, "naive": {"do": "crash"}})
    result = desk.run()
    assert result.exit_code == ExitCode.WRONG
    assert f"tiny:conv1 data: avx2:avx2: {wrong}" in result.output


def test_nothing_timed_is_exit_3(desk: Desk) -> None:
    desk.build.behave(rows={name: {"error": "skip: groups"} for name in ("naive", "reordered", "avx2")})
    assert desk.run().exit_code == ExitCode.NOTHING_MATCHED


@pytest.mark.parametrize(
    "arguments, code, complaint",
    [
        (["--workload", "empty"], 3, "no layer can be run: line 3: 3-D"),
        (["--impl", "onednn"], 3, "--impl onednn: not built: no oneDNN 3"),
        (["--isa", "neon"], 3, "--isa neon: this CPU does not run it"),
        (["--workload", "no_such"], 2, "no_such: no such workload"),
        (["--impl", "cudnn"], 2, "--impl cudnn is not known; there are: naive reordered avx2"),
        (["--impl", ","], 2, "--impl is empty"),
        (["--isa", "mmx"], 2, "--isa mmx is not known"),
        (["--pass", "forward"], 2, "--pass forward is not known; there are: data weights"),
        (["--layout", "chwn"], 2, "--layout chwn"),
        (["--cache", "hot"], 2, "--cache hot"),
        (["--threads", "0"], 2, "--threads 0"),
        (["--threads", "1,x"], 2, "--threads x"),
        (["--threads", "9" * 5000], 2, "--threads 999"),
        (["--budget", "soon"], 2, "--budget soon"),
        (["--budget", "0m"], 2, "--budget 0m"),
        (["--batch", "0"], 2, "batch"),
        (["--nonsense"], 2, "nonsense"),
        (["--build", "/no/such"], 2, "build it first"),
        (["--workload", "tiny", "--workload", "{tmp}/tiny.json"], 2, "two workloads are called tiny"),
        (["--workload", "{tmp}/twins.json"], 2, "twins: two layers are called a"),
    ],
)
def test_refusals(desk: Desk, tmp_path: Path, arguments: list[str], code: int, complaint: str) -> None:
    (tmp_path / "tiny.json").write_text(json.dumps([["a", "ic1ih3", 1]]))
    (tmp_path / "twins.json").write_text(json.dumps([["a", "ic1ih3", 1], ["a", "ic1ih4", 1]]))
    result = desk.run(*(argument.replace("{tmp}", str(tmp_path)) for argument in arguments))
    assert result.exit_code == code
    assert complaint in result.output
    assert not desk.out.exists()


@pytest.mark.parametrize("code, exit_code", [(2, ExitCode.USAGE), (3, ExitCode.NOTHING_MATCHED), (130, 130), (7, 4)])
def test_what_the_program_refuses_ends_the_study(desk: Desk, code: int, exit_code: int) -> None:
    desk.build.behave(code=code, stderr="convbwd_bench: says why")
    result = desk.run()
    assert result.exit_code == exit_code
    assert len(desk.build.calls()) == (4 if code == 7 else 1)


@pytest.mark.parametrize("command", [[], ["run"], ["report"], ["compare"], ["list"]])
def test_help_documents_the_exit_codes(command: list[str]) -> None:
    result = CliRunner().invoke(cli.app, [*command, "--help"], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    text = " ".join(result.output.split())
    for code in (
        "0 good",
        "1 a contender",
        "2 usage",
        "3 nothing matched",
        "4 some rows",
        "5 set-up",
        "130 interrupted",
    ):
        assert code in text


def test_debug_shows_where_an_error_came_from(desk: Desk) -> None:
    result = CliRunner().invoke(cli.app, ["--debug", *desk.argv("--impl", "cudnn")])
    assert result.exit_code == ExitCode.USAGE
    assert "Traceback" in result.output
    assert "plan.py" in result.output


def test_an_unexpected_error_is_one_line_too(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "make_plan", lambda *_: 1 // 0)
    result = desk.run()
    assert result.exit_code == ExitCode.SOME_FAILED
    assert "unexpected ZeroDivisionError" in result.output
    assert len(result.output.splitlines()) == 1


# --- interruptions, and going on ----------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
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


# --- folders and disks --------------------------------------------------------------------------------------------


def test_a_folder_that_is_not_a_study_is_left_alone(desk: Desk) -> None:
    desk.out.mkdir()
    (desk.out / "thesis.txt").write_text("precious")
    result = desk.run()
    assert result.exit_code == ExitCode.USAGE
    assert "not a study: it has no manifest.json, but holds thesis.txt" in result.output
    assert [file.name for file in desk.out.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    "manifest, complaint",
    [
        ("{", "manifest.json: not JSON"),
        ("[]", "expected an object"),
        ('{"schema": 2}', "manifest.json: schema"),
        ('{"schema": 1}', "manifest.json: cells: missing"),
        ('{"schema": 1, "cells": [{}]}', "manifest.json: cells[0].key: missing"),
    ],
)
def test_a_manifest_that_is_not_understood_is_refused(desk: Desk, manifest: str, complaint: str) -> None:
    desk.out.mkdir()
    (desk.out / "manifest.json").write_text(manifest)
    result = desk.run()
    assert result.exit_code == ExitCode.USAGE
    assert complaint in result.output
    assert (desk.out / "manifest.json").read_text() == manifest


def test_a_place_that_cannot_be_written_to_is_one_line(desk: Desk) -> None:
    for place in ("/proc/study", str(desk.build.folder / "bench" / "convbwd" / "study")):
        result = desk.run("--out", place)
        assert result.exit_code == ExitCode.USAGE, result.output
        assert place.rsplit("/", 1)[0] in result.output


def test_report_and_compare_refuse_what_is_not_a_study(tmp_path: Path) -> None:
    for command in (["report"], ["compare", str(tmp_path)]):
        result = CliRunner().invoke(cli.app, [*command, str(tmp_path)])
        assert result.exit_code == ExitCode.USAGE
        assert "not a study" in result.output


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_is_one_line_and_loses_nothing(desk: Desk, call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.run("--pass", "data")
    before = desk.documents()

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "somewhere")

    with monkeypatch.context() as patched:
        patched.setattr(*((os, "fsync", full) if call == "fsync" else (Path, "replace", full)))
        result = desk.run()
    assert result.exit_code == ExitCode.SOME_FAILED
    assert "the disk is full" in result.output
    assert len(result.output.splitlines()) == 2, "the skipped line of the workload, and ours"
    assert desk.documents() == before
    assert not list(desk.out.glob(".*.tmp"))
    assert desk.run().exit_code == ExitCode.GOOD


def test_a_disk_that_is_full_for_the_program_blames_no_row(desk: Desk) -> None:
    desk.build.behave(code=4, stderr="convbwd_bench: cannot write events: No space left on device")
    result = desk.run()
    assert result.exit_code == ExitCode.SOME_FAILED
    assert "the disk is full (convbwd_bench: cannot write events" in result.output
    assert len(desk.build.calls()) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small disk")
def test_a_really_full_disk(desk: Desk, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("cannot mount a tmpfs here")
    try:
        desk.out = disk / "study"
        ballast = disk / "ballast"
        for kilobytes in (64, 48, 40, 32, 24, 20, 16):
            ballast.write_bytes(b"")
            try:
                ballast.write_bytes(b"x" * kilobytes * 1024)
            except OSError:
                continue
            result = desk.run()
            desk.documents()  # each is whole
            assert result.exit_code in (ExitCode.SOME_FAILED, ExitCode.GOOD)
            if result.exit_code:
                assert "disk is full" in result.output or "rejected" in result.output or "blame" in result.output
        ballast.unlink()
        assert desk.run().exit_code == ExitCode.GOOD
        assert len(desk.documents()) == 4
    finally:
        subprocess.run(["umount", str(disk)], check=True)


# --- the default study and the reports ----------------------------------------------------------------------------


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Path]]:
    """Stands in for the report; the folders it was asked for."""
    asked: list[Path] = []

    def write_report(folder: Path) -> Any:
        asked.append(folder)
        (folder / "report.html").write_text("<html>")
        return types.SimpleNamespace(headline="avx2 wins", path=folder / "report.html")

    module = types.ModuleType("convbwd_study.report")
    module.write_report = write_report  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "convbwd_study.report", module)
    yield asked


def test_without_a_command_the_default_study_and_its_report(
    desk: Desk, report: list[Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(cli, "Build", lambda: Build(desk.build.folder))
    monkeypatch.setattr(cli, "STUDIES", tmp_path / "studies")
    monkeypatch.setitem(__import__("fake_bench").LAYERS, "resnet50", [])
    monkeypatch.setattr(cli, "Options", lambda **given: plan.Options(workloads=("tiny",), **given))
    first = CliRunner().invoke(cli.app, [])
    assert first.exit_code == 0, first.output
    (folder,) = report
    assert folder.parent == tmp_path / "studies"
    assert folder.name.startswith("tiny-")
    assert first.output.splitlines()[-2:] == ["avx2 wins", str(folder / "report.html")]
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["options"]["batch"] == 8
    assert {cell["threads"] for cell in manifest["cells"]} == {machine.usable_cpus()}
    second = CliRunner().invoke(cli.app, [])
    assert second.output.splitlines()[-1] == str(folder / "report.html")
    assert "avx2 wins" not in second.output
    assert len(report) == 1
    os.utime(folder / "manifest.json")
    assert "avx2 wins" in CliRunner().invoke(cli.app, []).output, "a report older than its study is drawn again"
    third = CliRunner().invoke(cli.app, ["report", str(folder)])
    assert third.output.splitlines() == ["avx2 wins", str(folder / "report.html")]


def test_list_names_studies_and_workloads(desk: Desk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(cli, "ROOT", tmp_path)
    monkeypatch.setattr(cli, "STUDIES", tmp_path)
    monkeypatch.setattr(cli, "PUBLISHED", tmp_path / "published")
    (tmp_path / "bench" / "workloads").mkdir(parents=True)
    (tmp_path / "bench" / "workloads" / "lenet.txt").touch()
    desk.run()
    output = CliRunner().invoke(cli.app, ["list"]).output
    assert "study  4/4 cells" in output
    assert "lenet" in output


def test_default_folders_are_safe_names() -> None:
    options = plan.Options(workloads=("/a/b c/../$net.txt", "vgg16"), problems=("ic1",))
    assert cli.default_folder(options).name.startswith("net-vgg16-problem-")
    facts = {"model name": "Intel(R) Xeon(R) Gold 6130 CPU @ 2.10GHz"}
    assert machine.cpu_slug(facts) == "intel-xeon-gold-6130"
    assert machine.cpu_slug({"machine": "aarch64", "CPU implementer": "0x41"}) == "aarch64-0x41"
    assert machine.slug("../..") == "unnamed"


# --- time ---------------------------------------------------------------------------------------------------------


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def cells_of(*macs: float) -> list[plan.Cell]:
    axes: dict[str, Any] = {"count": 1, "layout": "native", "cache": "warm", "threads": 1, "isa_cap": "avx2"}
    names: dict[str, Any] = {"workload": "w", "problem": "p", "source": "w", "pass_": "data"}
    return [plan.Cell(key=str(i), layer=str(i), macs=each, **axes, **names) for i, each in enumerate(macs)]


def simulated(total: float | None, cells: list[plan.Cell], cost: Callable[[plan.Cell], float]) -> tuple[float, Budget]:
    """Seconds that a study takes whose cells need `cost` before their rounds, and one round of 0.5 s."""
    clock = Clock()
    budget = Budget(total, cells, cells, clock)
    for cell in cells:
        share = budget.share(cell)
        assert share.row >= LEAST_ROW_SECONDS
        seconds = cost(cell) + max(0.5, share.timing)
        clock.now += seconds
        budget.finished(cell, seconds, share)
    return clock.now - 100, budget


def test_the_budget_is_used_and_not_exceeded() -> None:
    cells = cells_of(*(10.0 + i % 5 for i in range(46)))
    for cost in (0.1, 1.0, 4.0):
        spent, _ = simulated(300, cells, lambda _, cost=cost: cost)  # type: ignore[misc]
        assert 270 <= spent <= 310
    spent, _ = simulated(300, cells, lambda cell: cell.macs * 0.3)
    assert 270 <= spent <= 315


def test_without_a_budget_resnet50_leaves_room_for_its_report_in_six_minutes() -> None:
    spent, _ = simulated(None, cells_of(*[10.0] * 46), lambda _: 2.0)
    assert spent == pytest.approx(46 * SECONDS_A_CELL, rel=0.05)
    assert spent < 345


def test_a_budget_too_small_costs_one_round_a_cell() -> None:
    spent, _ = simulated(1, cells_of(*[10.0] * 20), lambda _: 0.1)
    assert spent == pytest.approx(20 * 0.6, rel=0.05)


def test_late_cells_keep_rows_that_early_ones_had() -> None:
    cells, clock = cells_of(*[10.0] * 10), Clock()
    budget = Budget(60, cells, cells, clock)
    early = budget.share(cells[0])
    clock.now += 1000
    budget.finished(cells[0], 1000, early)
    late = budget.share(cells[1])
    assert late.timing == pytest.approx(LEAST_TIMING * 6)  # of what was planned for the cell
    assert late.row == pytest.approx(early.row / 2)


def test_larger_cells_get_more() -> None:
    cells = cells_of(1.0, 9.0)
    budget = Budget(60, cells, cells, Clock())
    small, large = budget.share(cells[0]), budget.share(cells[1])
    assert large.row == pytest.approx(small.row * (1 + 9 / 5) / (1 + 1 / 5))
    assert small.row * 3 + large.row * 3 == pytest.approx(60)


def test_a_study_gone_on_with_gets_the_rest_of_its_budget() -> None:
    cells = cells_of(*[10.0] * 10)
    budget = Budget(100, cells, cells[7:], Clock())
    assert budget.seconds_to_go() == pytest.approx(30)


def test_the_time_to_go_is_measured() -> None:
    cells, clock = cells_of(*[10.0] * 4), Clock()
    budget = Budget(40, cells, cells, clock)
    assert budget.seconds_to_go() == pytest.approx(40)
    clock.now += 20
    budget.finished(cells[0], 20, budget.share(cells[0]))
    assert budget.seconds_to_go() == pytest.approx(60)
    clock.now += 5
    assert budget.seconds_to_go() == pytest.approx(55)


@pytest.mark.parametrize("text, seconds", [("10m", 600), ("90s", 90), ("1h30m", 5400), ("600", 600), ("1.5s", 1.5)])
def test_budgets_are_read(text: str, seconds: float) -> None:
    assert cli.seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "m", "-1s", "1d", "inf", "1e9s"])
def test_bad_budgets_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        cli.seconds_of(text)


# --- progress -----------------------------------------------------------------------------------------------------


def test_lines_say_how_far_and_how_long(desk: Desk) -> None:
    lines = [line for line in desk.run().output.splitlines() if " cells, " in line]
    assert [line.split()[0] for line in lines] == ["1/4", "2/4", "3/4", "4/4"]
    assert all("to go: tiny:conv" in line for line in lines)


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


# --- pieces -------------------------------------------------------------------------------------------------------


def test_a_cpu_quota_limits_the_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_control_group", lambda _: tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)))
    assert machine.usable_cpus() == 16
    for quota, cpus in (("max 100000", 16), ("250000 100000", 3), ("50000 100000", 1), ("9900000 100000", 16)):
        (tmp_path / "cpu.max").write_text(quota)
        assert machine.usable_cpus() == cpus


def test_a_memory_limit_is_respected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_control_group", lambda _: tmp_path)
    (tmp_path / "memory.max").write_text("max\n")
    assert (machine.available_memory() or 0) > 1 << 20
    (tmp_path / "memory.max").write_text("4096\n")
    assert machine.available_memory() == 4096


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


@pytest.fixture
def shell(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs scripts/study in a tree whose set-up, build and Python only say how they were called."""
    root = tmp_path / "a tree"
    for program, text in {
        "scripts/bootstrap": "exit ${BOOTSTRAP:-0}",
        "bin/cmake": 'echo "cmake $*" in "$(basename "$PWD")" >&2; exit ${CMAKE:-0}',
        ".venv/bin/python": 'echo "python in $(basename "$PWD"):"; printf "<%s>" "$PYTHONPATH" "$@"; exit ${PYTHON:-0}',
    }.items():
        file = root / program
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"#!/bin/sh\n{text}\n")
        file.chmod(0o755)
    (root / "scripts" / "study").write_bytes((SCRIPTS / "study").read_bytes())
    (tmp_path / "elsewhere").mkdir()

    def run(*arguments: str, **codes: int) -> subprocess.CompletedProcess[str]:
        path = f"{root / 'bin'}:{os.environ['PATH']}"
        environment = os.environ | {"PATH": path} | {name: str(code) for name, code in codes.items()}
        command = ["bash", root / "scripts" / "study", *arguments]
        where = tmp_path / "elsewhere"
        return subprocess.run(command, cwd=where, env=environment, capture_output=True, text=True, check=False)

    return run


def test_the_command_builds_and_hands_its_arguments_on(shell: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = shell("run", "--out", "my $(study)")
    assert done.stderr.splitlines() == ["cmake --preset release in a tree", "cmake --build --preset release in a tree"]
    assert done.stdout.startswith("python in elsewhere:")
    assert done.stdout.endswith("/a tree/scripts><-m><convbwd_study><run><--out><my $(study)>")
    assert "cmake" in shell().stderr


@pytest.mark.parametrize("command", ["report", "compare", "list", "--help"])
def test_what_measures_nothing_builds_nothing(
    shell: Callable[..., subprocess.CompletedProcess[str]], command: str
) -> None:
    assert "cmake" not in shell(command).stderr


@pytest.mark.parametrize("part, code, told", [("BOOTSTRAP", 5, 5), ("CMAKE", 1, 5), ("PYTHON", 130, 130)])
def test_the_command_ends_as_its_parts_do(
    shell: Callable[..., subprocess.CompletedProcess[str]], part: str, code: int, told: int
) -> None:
    assert shell("run", **{part: code}).returncode == told, "1 would say that a contender was wrong"


def test_a_workload_is_known_by_its_layers() -> None:
    one, same, other = (
        Workload("w", source, (Layer("a", 1, problem, 1.0),), ())
        for source, problem in (("x", "ic1"), ("y", "ic1"), ("x", "ic2"))
    )
    assert one.digest == same.digest != other.digest


def test_a_full_disk_is_told_from_a_wrong_path() -> None:
    assert isinstance(cli.from_os_error(OSError(errno.ENOSPC, "full", "f")), DiskFull)
    assert isinstance(cli.from_os_error(PermissionError(errno.EACCES, "denied", "f")), UsageError)


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
