# SPDX-License-Identifier: Apache-2.0
"""The command line of the study tool: refusals, help, the default study, and the script that sets everything up."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import types
from typing import TYPE_CHECKING, Any

import pytest
from convbwd_study import cli, machine, plan
from convbwd_study.binary import Build
from convbwd_study.errors import DiskFull, ExitCode, UsageError
from desk import SCRIPTS
from typer.testing import CliRunner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from desk import Desk


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
    desk.build.behave(cores="3")
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
    assert {cell["threads"] for cell in manifest["cells"]} == {3}
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


@pytest.mark.parametrize("text, seconds", [("10m", 600), ("90s", 90), ("1h30m", 5400), ("600", 600), ("1.5s", 1.5)])
def test_budgets_are_read(text: str, seconds: float) -> None:
    assert cli.seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "m", "-1s", "1d", "inf", "1e9s"])
def test_bad_budgets_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        cli.seconds_of(text)


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
    configured, built = done.stderr.splitlines()
    assert configured == "cmake --preset release in a tree"
    assert built == "cmake --build --preset release --target convbwd convbwd_bench in a tree"
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


def test_a_full_disk_is_told_from_a_wrong_path() -> None:
    assert isinstance(cli.from_os_error(OSError(errno.ENOSPC, "full", "f")), DiskFull)
    assert isinstance(cli.from_os_error(PermissionError(errno.EACCES, "denied", "f")), UsageError)
