# SPDX-License-Identifier: Apache-2.0
"""scripts/bootstrap on machines that lack something, played by stand-ins for dpkg-query, apt-get and sudo."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

BOOTSTRAP = Path(__file__).resolve().parents[1] / "scripts" / "bootstrap"
TOOLS = ("bash", "cat", "chmod", "dirname", "env", "grep", "mkdir", "sh", "sha256sum")
SETPRIV = (shutil.which("setpriv") or "", "--reuid=65534", "--regid=65534", "--clear-groups")
NOBODY = SETPRIV if os.geteuid() == 0 else ()
MISSING = "cmake git"
INSTALL = f"apt-get update; apt-get install -y --no-install-recommends {MISSING}"


class Machine:
    """A copy of bootstrap, and a PATH with nothing on it but what a test puts there. `calls`: what apt-get was told."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.bin, self.log = folder, folder / "bin", folder / "calls"
        (folder / "scripts").mkdir()
        self.bin.mkdir()
        shutil.copy(BOOTSTRAP, folder / "scripts")
        (folder / "scripts" / "requirements.txt").touch()
        for tool in TOOLS:
            (self.bin / tool).symlink_to(shutil.which(tool) or "/nowhere")
        self.put("python3", "mkdir -p .venv/bin; echo '#!/bin/sh' >.venv/bin/pip; chmod +x .venv/bin/pip")
        self.log.touch()
        self.log.chmod(0o666)
        self.put("dpkg-query", f'case " {MISSING} " in *" $3 "*) exit 1;; esac; echo install ok installed')
        self.put("apt-get", f'echo "$*" >>{self.log}')

    def put(self, name: str, script: str) -> None:
        file = self.bin / name
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)

    def have_everything(self) -> None:
        """All packages, and a Python that is none of our stand-ins."""
        self.put("dpkg-query", "echo install ok installed")
        (self.bin / "python3").unlink()
        (self.bin / "python3").symlink_to(sys.base_prefix + "/bin/python3")

    def run(self, *before: str) -> subprocess.CompletedProcess[str]:
        """`before`: a command to run it with."""
        environment = {"PATH": str(self.bin), "HOME": str(self.folder), "PIP_NO_INDEX": "1"}
        command = [*before, str(self.bin / "bash"), str(self.folder / "scripts" / "bootstrap")]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100, check=False)

    @property
    def calls(self) -> list[str]:
        return self.log.read_text().splitlines()


@pytest.fixture
def machine() -> Iterator[Machine]:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        yield Machine(Path(folder))


def test_without_sudo_the_one_command_is_told(machine: Machine) -> None:
    result = machine.run(*NOBODY)
    assert result.returncode == 5
    assert result.stderr == f"bootstrap: missing packages; please type:  su -l -c '{INSTALL}'\n"
    assert result.stdout == ""
    assert machine.calls == []


def test_with_a_sudo_that_asks_for_a_password_too(machine: Machine) -> None:
    machine.put("sudo", "exit 1")
    result = machine.run(*NOBODY)
    assert result.returncode == 5
    assert result.stderr == f"bootstrap: missing packages; please type:  sudo sh -c '{INSTALL}'\n"


def test_a_sudo_that_does_not_ask_installs_what_is_missing(machine: Machine) -> None:
    machine.put("sudo", '[ "$1" = -n ] || exec "$@"')
    result = machine.run(*NOBODY)
    assert result.returncode == 0, result.stderr
    update, install = machine.calls
    assert update.endswith(" update")
    assert install.endswith(f" install -y --no-install-recommends {MISSING}")


def test_a_source_out_of_order_stops_nothing_but_a_failed_install_does(machine: Machine) -> None:
    machine.put("sudo", '[ "$1" = -n ] || exec "$@"')
    machine.put("apt-get", 'case "$*" in *update) exit 100;; esac')
    assert machine.run(*NOBODY).returncode == 0
    machine.put("apt-get", "exit 100")
    result = machine.run(*NOBODY)
    assert result.returncode == 5
    assert result.stderr.splitlines()[-1].endswith(f"please type:  sudo sh -c '{INSTALL}'")


def test_when_all_is_there_nothing_is_done(machine: Machine) -> None:
    machine.have_everything()
    assert machine.run().returncode == 0
    stamp = machine.folder / ".venv" / "requirements.sha256"
    before = stamp.stat().st_mtime_ns
    result = machine.run()
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert stamp.stat().st_mtime_ns == before


def test_an_environment_that_was_interrupted_or_moved_is_made_anew(machine: Machine) -> None:
    machine.have_everything()
    programs = machine.folder / ".venv" / "bin"
    programs.mkdir(parents=True)
    (programs / "python").symlink_to(machine.bin / "python3")
    assert machine.run().returncode == 0
    pip = programs / "pip"
    pip.write_text(pip.read_text().replace(str(machine.folder), "/nowhere"))
    result = machine.run()
    assert result.returncode == 0, result.stderr
    assert "making the Python environment" in result.stderr
    assert str(machine.folder) in pip.read_text()


def test_no_network_is_told_in_one_line(machine: Machine) -> None:
    machine.have_everything()
    (machine.folder / "scripts" / "requirements.txt").write_text("convbwd-is-not-a-package==1\n")
    result = machine.run()
    assert result.returncode == 5
    assert result.stderr.splitlines()[-1].startswith("bootstrap: pip could not install scripts/requirements.txt")
