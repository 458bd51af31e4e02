# SPDX-License-Identifier: Apache-2.0
"""The programs start and work on a CPU without AVX, although parts of them are compiled for more.

Proved twice: in the objects, where nothing compiled for an instruction set may be visible to the linker but the one
symbol that the registry names; and on emulated CPUs, old and newer.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
BUILD = Path(os.environ.get("CONVBWD_BUILD", ROOT / "build" / "release"))
TOOL = BUILD / "bench" / "convbwd"
BENCH = BUILD / "bench" / "convbwd_bench"

QEMU = shutil.which("qemu-x86_64")
ON_X86 = os.uname().machine == "x86_64"
needs_qemu = pytest.mark.skipif(not (QEMU and ON_X86), reason="needs qemu-x86_64 (Debian: qemu-user), on x86-64")

PROBLEM = "mb2ic3ih9iw8oc5oh7ow4kh3kw3sh1sw2ph0pw0"
SHAPES = {"x": (2, 3, 9, 8), "w": (5, 3, 3, 3), "dy": (2, 5, 7, 4)}
READS = {"data": "w", "weights": "x"}


def output_of(*command: str | Path) -> str:
    return subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True).stdout


# Objects.


def visible(nm: str) -> list[tuple[str, str]]:
    """What `nm --format=posix` shows another object could be linked to: defined symbols with their kind."""
    symbols = []
    for line in nm.splitlines():
        match = re.match(r"(\S.*?) ([A-Za-z])(?: |$)", line)
        if match and (match[2] == "u" or (match[2].isupper() and match[2] != "U")):
            symbols.append((match[1], match[2]))
    return symbols


def fault_of(object_file: Path) -> str:
    """Empty, or what is wrong with an object that must show one strong symbol of ours and nothing else."""
    symbols = visible(output_of("nm", "--format=posix", object_file))
    if len(symbols) == 1 and re.fullmatch(r"convbwd_(rows|peak_loops)_\w+", symbols[0][0]) and symbols[0][1] in "DRB":
        return ""
    names = ", ".join(f"{name} ({kind})" for name, kind in symbols[:3])
    return f"{object_file.name} shows {len(symbols)} symbols: {names}"


def self_contained_objects() -> list[Path]:
    found = sorted([*(BUILD / "impls").glob("*.o"), *(BUILD / "bench").glob("*.o")])
    assert found, f"no objects in {BUILD}; build it first"
    return found


def test_objects_of_an_instruction_set_show_one_symbol() -> None:
    objects = self_contained_objects()
    assert [fault for fault in map(fault_of, objects) if fault] == []
    for folder in ("naive.baseline.o", "peak_loops.baseline.o"):
        assert folder in {path.name for path in objects}


def test_the_check_sees_an_object_that_was_not_made_self_contained() -> None:
    before = [path.with_name(path.name + ".all") for path in self_contained_objects()]
    assert all(path.is_file() for path in before)
    leaky = [path for path in before if "W" in {kind for _, kind in visible(output_of("nm", "--format=posix", path))}]
    assert leaky
    assert [path.name for path in leaky if not fault_of(path)] == []


LEAKY = """
#include <vector>
inline int counter() { static int count = 0; return ++count; }
extern const int convbwd_rows_leaky = 7;
int leak(std::vector<float>& v) { v.push_back(counter() * v[0]); return v.size(); }
"""


def compiled(folder: Path, *flags: str) -> Path:
    compiler = shutil.which("c++") or shutil.which("g++")
    if not compiler:
        pytest.skip("no C++ compiler")
    (folder / "leaky.cpp").write_text(LEAKY)
    output_of(compiler, "-std=c++20", "-c", *flags, folder / "leaky.cpp", "-o", folder / "leaky.o")
    return folder / "leaky.o"


def test_the_check_sees_inline_code_and_static_data_of_inline_functions(tmp_path: Path) -> None:
    leaky = compiled(tmp_path, "-O0")
    assert "shows" in fault_of(leaky)
    kinds = {kind for _, kind in visible(output_of("nm", "--format=posix", leaky))}
    assert "W" in kinds
    assert kinds & {"u", "V", "B"}


def weak_functions_with_avx(program: Path) -> set[str]:
    """Weak functions (of which the linker kept some object's copy) that use AVX registers or AVX encodings."""
    weak = {name for name, kind in visible(output_of("nm", "--format=posix", program)) if kind in "WVu"}
    guilty = set()
    function = ""
    for line in output_of("objdump", "-d", "--no-show-raw-insn", program).splitlines():
        if header := re.match(r"[0-9a-f]+ <(.+)>:$", line):
            function = header[1]
        elif function in weak and re.search(r"%[yz]mm|\tv[a-z]\w+ ", line):
            guilty.add(function)
    return guilty


@pytest.mark.skipif(not ON_X86, reason="AVX is x86-64's")
@pytest.mark.parametrize("program", [TOOL, BENCH], ids=lambda path: path.name)
def test_no_shared_function_of_a_program_uses_avx(program: Path) -> None:
    assert weak_functions_with_avx(program) == set()


@pytest.mark.skipif(not ON_X86, reason="AVX is x86-64's")
def test_the_check_sees_avx_in_a_shared_function(tmp_path: Path) -> None:
    assert weak_functions_with_avx(compiled(tmp_path, "-O0", "-mavx2"))
    assert not weak_functions_with_avx(compiled(tmp_path, "-O0"))


# Emulated CPUs.


def emulated(cpu: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    assert QEMU
    # One OpenMP thread in place, so that nothing tries to start the program again outside of the emulator.
    environment = os.environ | {"OMP_PROC_BIND": "false", "OMP_NUM_THREADS": "1", "CONVBWD_REEXECUTED": "1"}
    command = [QEMU, "-cpu", cpu, str(TOOL), *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=100, env=environment)


@cache
def rows_on(cpu: str) -> list[dict[str, Any]]:
    listed = emulated(cpu, "list", "--json")
    assert listed.returncode == 0, listed.stderr
    rows: list[dict[str, Any]] = json.loads(listed.stdout)
    return [row for row in rows if row["built"]]


def tensors(folder: Path) -> dict[str, Path]:
    random = np.random.default_rng(5)
    files = {}
    for role, shape in SHAPES.items():
        files[role] = folder / f"{role}.npy"
        np.save(files[role], random.integers(-4, 5, shape).astype(np.float32))
    return files


def apply_arguments(row: dict[str, Any], in_pass: str, files: dict[str, Path], out: Path) -> list[str]:
    read = READS[in_pass]
    arguments = ["apply", "--impl", f"{row['name']}:{row['isa']}", "--pass", in_pass, "--problem", PROBLEM]
    return [*arguments, "--dy", str(files["dy"]), f"--{read}", str(files[read]), "--out", str(out)]


def definition(in_pass: str, files: dict[str, Path]) -> NDArray[np.float64]:
    x, w, dy = (np.load(files[role]).astype(np.float64) for role in ("x", "w", "dy"))
    gradient: NDArray[np.float64] = np.zeros_like(w if in_pass == "weights" else x)
    for p in range(dy.shape[2]):
        for q in range(dy.shape[3]):
            window = np.s_[:, :, p : p + 3, 2 * q : 2 * q + 3]
            if in_pass == "weights":
                known = x[window]
                gradient[:, :, : known.shape[2], : known.shape[3]] += np.einsum("nk,ncrs->kcrs", dy[:, :, p, q], known)
            else:
                inside = gradient[window].shape
                gradient[window] += np.einsum("nk,kcrs->ncrs", dy[:, :, p, q], w)[:, :, : inside[2], : inside[3]]
    return gradient


@needs_qemu
@pytest.mark.parametrize("cpu", ["Nehalem", "Haswell"])
def test_rows_are_judged_by_the_cpu_they_would_run_on(cpu: str) -> None:
    runs = {"Nehalem": {"baseline"}, "Haswell": {"baseline", "avx2"}}[cpu]
    rows = rows_on(cpu)
    assert {row["isa"] for row in rows if row["runs_here"]} == runs
    for row in rows:
        assert row["runs_here"] == (row["isa"] in runs)
        assert row["runs_here"] or row["isa"] in row["reason"]


@needs_qemu
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("cpu", "isa"), [("Nehalem", "baseline"), ("Haswell", "avx2")])
@pytest.mark.parametrize("in_pass", ["data", "weights"])
def test_rows_compute_the_gradient(cpu: str, isa: str, in_pass: str, tmp_path: Path) -> None:
    files = tensors(tmp_path)
    expected = definition(in_pass, files)
    right, unsupported = [], []
    for row in [row for row in rows_on(cpu) if row["isa"] == isa]:
        out = tmp_path / f"{row['name']}.npy"
        done = emulated(cpu, *apply_arguments(row, in_pass, files, out))
        if done.returncode == 3:
            unsupported.append(row["name"])
            continue
        assert done.returncode == 0, f"{row['name']}: {done.stderr}"
        tolerance = 0 if row["exact_on_integers"] else 1e-3
        np.testing.assert_allclose(np.load(out), expected, rtol=0, atol=tolerance, err_msg=row["name"])
        right.append(row["name"])
    assert len(right) > len(unsupported), (right, unsupported)


@needs_qemu
def test_a_row_for_another_cpu_is_refused_in_one_line(tmp_path: Path) -> None:
    files = tensors(tmp_path)
    row = next(row for row in rows_on("Nehalem") if row["isa"] == "avx2")
    done = emulated("Nehalem", *apply_arguments(row, "data", files, tmp_path / "out.npy"))
    assert done.returncode == 3
    complaints = [line for line in done.stderr.splitlines() if not line.startswith("qemu-x86_64: warning")]
    assert len(complaints) == 1
    assert "avx2" in complaints[0]
    assert not (tmp_path / "out.npy").exists()
