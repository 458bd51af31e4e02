# SPDX-License-Identifier: Apache-2.0
"""Where the programs under test are: CONVBWD_BUILD, otherwise build/release."""

import os
import signal
from pathlib import Path

import pytest
from desk import Desk

# clang's OpenMP runtime beside the libraries' GNU one complains on stderr about the CPUs the other has taken.
os.environ.setdefault("KMP_WARNINGS", "0")

# Under nohup, programs would rightly ignore the hang-ups that tests send them.
signal.signal(signal.SIGHUP, signal.SIG_DFL)

ROOT = Path(__file__).resolve().parent.parent


def build_folder() -> Path:
    return Path(os.environ.get("CONVBWD_BUILD", ROOT / "build" / "release")).resolve()


def program(name: str) -> Path:
    path = build_folder() / "bench" / name
    if not path.is_file():
        pytest.exit(f"{path} is not there: build first, or set CONVBWD_BUILD to the build folder", returncode=2)
    return path


@pytest.fixture(scope="session")
def convbwd() -> Path:
    """The command-line tool."""
    return program("convbwd")


@pytest.fixture(scope="session")
def convbwd_bench() -> Path:
    """The benchmark."""
    return program("convbwd_bench")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)
