# SPDX-License-Identifier: Apache-2.0
"""The tool's other subcommands as a person and a program see them; apply has a file of its own."""

import json
import os
import subprocess
from pathlib import Path

import pytest

SHIPPED = sorted(file.stem for file in (Path(__file__).parents[1] / "bench" / "workloads").glob("*.txt"))


def run(convbwd: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([convbwd, *arguments], capture_output=True, text=True, timeout=60, check=False)


def good(convbwd: Path, *arguments: str | Path) -> str:
    done = run(convbwd, *arguments)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_list_says_the_same_to_people_and_programs(convbwd: Path) -> None:
    rows = json.loads(good(convbwd, "list", "--json"))
    lines = good(convbwd, "list").splitlines()
    assert len(lines) == len(rows) + 1
    for row, line in zip(rows, lines[1:], strict=True):
        assert line.split()[0] == row["name"]
        if not row["built"]:
            assert f"not built: {row['reason']}" in line
            continue
        assert row["runs_here"] == (row["reason"] == "")
        assert row["reason"] in line
        assert line.split()[1] == row["isa"]
        assert row["idea"] in line
        assert set(row) >= {"threaded", "library", "exact_on_integers", "error_constant", "caps_process"}
    assert rows[0]["name"] == "naive"


def test_measurements_tell_libraries_from_our_own(convbwd: Path, convbwd_bench: Path, tmp_path: Path) -> None:
    built = [row for row in json.loads(good(convbwd, "list", "--json")) if row["built"]]
    known = {row["name"]: row["library"] for row in built}
    assert not known["naive"]
    assert all(known[name] for name in ("onednn", "im2col_blas") if name in known)
    out = tmp_path / "cell.json"
    flags = ["--problem=mb1ic3ih5oc4kh3", "--pass=data", "--threads=1", "--rounds=1", "--benchmark_min_time=0.001"]
    assert run(convbwd_bench, *flags, f"--benchmark_out={out}").returncode == 0
    timed = [entry for entry in json.loads(out.read_text())["benchmarks"] if not entry.get("error_occurred")]
    assert len(timed) > 3
    for entry in timed:
        assert bool(entry["library"]) == known[entry["name"].split("/")[2].partition(":")[0]], entry["name"]


def test_machine_tells_what_every_result_says(convbwd: Path) -> None:
    facts = json.loads(good(convbwd, "machine", "--json"))
    assert 1 <= int(facts["cores"]) <= len(os.sched_getaffinity(0))
    assert set(facts) >= {"cpu_model", "cpu_quota", "compiler", "commit", "binary_sha256"}
    assert f"cores: {facts['cores']}\n" in good(convbwd, "machine")


@pytest.mark.parametrize("name", SHIPPED)
def test_layers_of_a_shipped_workload(convbwd: Path, name: str) -> None:
    document = json.loads(good(convbwd, "layers", "--workload", name, "--json"))
    assert document["workload"] == name
    assert document["skipped"] == []
    macs = sum(layer["count"] * layer["nominal_macs"] for layer in document["layers"])
    assert name != "resnet50" or macs == 4_087_136_256
    assert all(0 < layer["macs"] <= layer["nominal_macs"] for layer in document["layers"])
    *_, whole = good(convbwd, "layers", "--workload", name).splitlines()
    useful = sum(layer["count"] * layer["macs"] for layer in document["layers"])
    assert whole.split()[:3] == [name, f"{macs:.0f}", f"{useful:.0f}"]


def test_layers_of_a_benchdnn_file(convbwd: Path, tmp_path: Path) -> None:
    file = tmp_path / "other <net>.txt"
    file.write_bytes(
        b'--reset --dir=BWD_D # both\nmb1ic3ih5oc4kh3n"a\xff/b*2"\nic3iw5oc4kw3n"\xff"\n--cfg=u8s8u8 ic3ih5oc4kh3\n'
    )
    document = json.loads(good(convbwd, "layers", "--workload", file, "--json"))
    assert document["workload"] == "other__net_"
    assert [layer["name"] for layer in document["layers"]] == ["a__b"]
    assert document["layers"][0]["problem"] == "mb1ic3ih5oc4oh3kh3ph0"
    assert [skip["line"] for skip in document["skipped"]] == [3, 4]
    assert document["skipped"][0]["reason"].startswith("1-D")
    assert document["skipped"][1]["reason"] == "type u8s8u8: only f32"


def test_explain_writes_the_worked_example(convbwd: Path) -> None:
    text = good(convbwd, "explain", "--problem", "mb1ic1ih3oc1kh2")
    assert "    ∂L/∂X22 = ∂L/∂O11·F22 + ∂L/∂O12·F21 + ∂L/∂O21·F12 + ∂L/∂O22·F11\n" in text
    assert "    ∂L/∂F = Conv(X, ∂L/∂O)\n" in text
    assert "    ∂L/∂X = FullConv(rot180(F), ∂L/∂O)\n" in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "name a subcommand"),
        (["bogus"], "bogus"),
        (["list", "--bogus"], "--bogus"),
        (["layers"], "--workload"),
        (["layers", "--workload", "nowhere"], f"there are: {' '.join(SHIPPED)}"),
        (["layers", "--workload", "/"], "not a regular file"),
        (["explain", "--problem", "ic64ih56oc64kh3"], "X has 401408 elements"),
        (["explain", "--problem", "mb1ic1ih3oc1oh3kh1sh40ph39"], "pads"),
        (["explain", "--problem", "ic3ih0oc4kh3"], "ih is 0"),
        (["explain", "--problem", ""], "--problem"),
        (["explain", "--problem", "\n" * 100_000], "unknown field"),
        (["explain", "--problem", "x" * 100_000], "unknown field"),
    ],
)
def test_mistakes_are_one_line_and_exit_2(convbwd: Path, arguments: list[str], words: str) -> None:
    done = run(convbwd, *arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("convbwd: ")
    assert done.stderr.count("\n") == 1
    assert len(done.stderr) < 300
    assert words in done.stderr


def test_help_is_no_mistake(convbwd: Path) -> None:
    for arguments in (["--help"], ["apply", "--help"]):
        assert "Exit codes" in good(convbwd, *arguments)


def test_a_full_disk_is_a_failure(convbwd: Path) -> None:
    full_disk = Path("/dev/full")
    if not full_disk.exists():
        pytest.skip(f"no {full_disk}")
    with full_disk.open("w") as full:
        for command in (["list"], ["list", "--json"], ["layers", "--workload", "resnet50"]):
            done = subprocess.run([convbwd, *command], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
            assert done.returncode == 4
            assert done.stderr == "convbwd: the output could not be written\n"
