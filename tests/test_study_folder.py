# SPDX-License-Identifier: Apache-2.0
"""Folders that are not studies, manifests that are not understood, disks that are full."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from convbwd_study import cli
from convbwd_study.binary import Layer, Workload
from convbwd_study.errors import ExitCode
from typer.testing import CliRunner

if TYPE_CHECKING:
    from desk import Desk


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


def test_a_workload_is_known_by_its_layers() -> None:
    one, same, other = (
        Workload("w", source, (Layer("a", 1, problem, 1.0),), ())
        for source, problem in (("x", "ic1"), ("y", "ic1"), ("x", "ic2"))
    )
    assert one.digest == same.digest != other.digest
