# SPDX-License-Identifier: Apache-2.0
"""What tests of the study tool work at: a build that misbehaves on demand, a folder to study in, the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convbwd_study import cli
from fake_bench import FakeBuild
from typer.testing import CliRunner

if TYPE_CHECKING:
    from collections.abc import Callable

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
        # Empty: buffered, as users have it.
        environment = os.environ | {"PYTHONPATH": str(SCRIPTS), "PYTHONUNBUFFERED": ""}
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
