# SPDX-License-Identifier: Apache-2.0
"""OpenBLAS and BLIS both define cblas_sgemm, and LIBXSMM brings a stub of sgemm_: each library finds its own."""

from __future__ import annotations

import os
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest


@pytest.fixture(params=["convbwd", "convbwd_bench"])
def program(request: pytest.FixtureRequest) -> Path:
    path: Path = request.getfixturevalue(request.param)
    return path


class Binding(NamedTuple):
    user: str
    owner: str
    symbol: str


@cache
def bindings(program: Path, preload: str = "") -> list[Binding]:
    """Which file each symbol that a file uses was found in, as the loader tells it."""
    environment = os.environ | {"LD_DEBUG": "bindings", "LD_BIND_NOW": "1", "LD_PRELOAD": preload}
    done = subprocess.run([program, "--help"], check=True, capture_output=True, text=True, env=environment)
    line = re.compile(r"binding file (\S+) \[\d+\] to (\S+) \[\d+\]: normal symbol `(\w+)'")
    return [Binding(*match.groups()) for match in line.finditer(done.stderr)]


def strays(found: list[Binding], program: Path) -> list[Binding]:
    def astray(binding: Binding) -> bool:
        ours, owner = binding.user == str(program), Path(binding.owner).name
        if binding.symbol in ("sgemm_", "dgemm_"):
            return binding.owner == str(program)
        if binding.symbol.startswith("bli_"):
            return not owner.startswith("libblis")
        if ours and binding.symbol.startswith(("cblas_", "openblas_")):
            return not owner.startswith("libopenblas")
        return "libopenblas" in binding.user and owner.startswith("libblis")

    return [binding for binding in found if astray(binding)]


def blis_of(program: Path) -> str:
    users = {binding.symbol: binding.owner for binding in bindings(program) if binding.user == str(program)}
    if not {"cblas_sgemm", "bli_sgemm"} <= users.keys():
        pytest.skip("needs OpenBLAS and BLIS in one program")
    return users["bli_sgemm"]


def test_each_library_is_called_by_its_own_row(program: Path) -> None:
    blis_of(program)
    assert strays(bindings(program), program) == []


def test_the_check_sees_a_library_that_comes_first(program: Path) -> None:
    found = strays(bindings(program, preload=blis_of(program)), program)
    assert "cblas_sgemm" in {binding.symbol for binding in found}
