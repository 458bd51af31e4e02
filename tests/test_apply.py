# SPDX-License-Identifier: Apache-2.0
"""Every implementation through `convbwd apply`, against scipy.signal and numpy; and what apply refuses."""

import json
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from conftest import program
from gradients import Axis, Layer, numpy_gradient, scipy_gradient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

PASSES = {"data": ("w", "w_shape", "x_shape"), "weights": ("x", "x_shape", "w_shape")}
EPSILON = float(np.finfo(np.float32).eps)
Floats = npt.NDArray[np.float32]
Row = dict[str, Any]


def rows() -> list[Row]:
    run = subprocess.run([program("convbwd"), "list", "--json"], capture_output=True, text=True, check=True)
    return [row for row in json.loads(run.stdout) if row["built"] and row["runs_here"]]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "row" in metafunc.fixturenames:
        found = rows()
        metafunc.parametrize("row", found, ids=[f"{row['name']}:{row['isa']}" for row in found])


def apply(
    row: str, which: str, problem: str, files: dict[str, Path], out: Path, *more: str
) -> subprocess.CompletedProcess[str]:
    command: list[str | Path] = [
        program("convbwd"),
        "apply",
        "--impl",
        row,
        "--pass",
        which,
        "--problem",
        problem,
        "--out",
        out,
        *more,
    ]
    for flag, file in files.items():
        command += [f"--{flag}", file]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def channel_bounds(
    which: str, layer: Layer, dy: npt.NDArray[np.float64], other: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """The largest sum |a*b| that an element of each channel (c of dx, k of dw) could have."""
    if which == "weights":
        return (np.abs(dy).sum(axis=(0, 2, 3)) * np.abs(other).max()).reshape(-1, 1, 1, 1)
    filters = np.abs(other).reshape(layer.groups, -1, *other.shape[1:])
    return (filters.sum(axis=(1, 3, 4)).reshape(-1) * np.abs(dy).max()).reshape(1, -1, 1, 1)


def check_row(
    row: Row, which: str, layer: Layer, opinion: Callable[..., npt.NDArray[np.float64]], whole: bool, *more: str
) -> bool:
    """Whether the row supports the layer; asserts that what it computes is right."""
    random = np.random.default_rng(5)
    other_flag, other_shape, out_shape = PASSES[which]
    draw = (lambda shape: random.integers(-4, 5, shape)) if whole else random.standard_normal
    dy = np.asarray(draw(layer.dy_shape), np.float32)
    other = np.asarray(draw(getattr(layer, other_shape)), np.float32)
    with tempfile.TemporaryDirectory() as folder:
        files = {"dy": Path(folder) / "dy.npy", other_flag: Path(folder) / "other.npy"}
        np.save(files["dy"], dy)
        np.save(files[other_flag], other)
        out = Path(folder) / "out.npy"
        run = apply(f"{row['name']}:{row['isa']}", which, layer.descriptor, files, out, *more)
        if run.returncode == 3:
            assert "does not support this problem: " in run.stderr
            assert not out.exists()
            return False
        assert run.returncode == 0, run.stderr
        got = np.load(out)
    assert got.dtype == np.float32
    assert got.shape == getattr(layer, out_shape)
    wide = dy.astype(np.float64), other.astype(np.float64)
    expected = opinion(which, layer, *wide)
    if whole and row["exact_on_integers"]:
        np.testing.assert_array_equal(got, expected, err_msg=layer.descriptor)
    if row["mixes_outputs"]:
        magnitude = channel_bounds(which, layer, *wide)
    else:
        magnitude = np.sqrt(layer.terms(which)) * opinion(which, layer, *map(np.abs, wide))
    allowed = row["error_constant"] * EPSILON * magnitude
    assert np.all(np.abs(got - expected) <= allowed), layer.descriptor
    return True


@st.composite
def axes(draw: st.DrawFn, taps: int | None = None, stride: int | None = None, dilation: int | None = None) -> Axis:
    taps = taps or draw(st.integers(1, 5))
    stride = stride or draw(st.integers(1, 4))
    dilation = dilation or draw(st.integers(1, 3))
    extent, pad = draw(st.integers(1, 14)), draw(st.integers(0, 6))
    window = dilation * (taps - 1) + 1
    most = (extent + pad + draw(st.integers(0, 6)) - window) // stride + 1
    outputs = max(1, min(most, 12) - draw(st.integers(0, 2)))
    return Axis(extent, taps, outputs, stride, dilation, pad)


@st.composite
def layers(draw: st.DrawFn, planes: bool = False) -> Layer:
    """Half of them 3x3 with stride 1, the only thing that some implementations know. `planes`: also batch, channels,
    filters and groups."""
    fixed = {"taps": 3, "stride": 1, "dilation": 1} if draw(st.booleans()) else {}
    layer = Layer(draw(axes(**fixed)), draw(axes(**fixed)))
    if planes:
        groups = draw(st.sampled_from([1, 1, 2, 3]))
        layer = replace(
            layer,
            batch=draw(st.integers(1, 3)),
            channels=groups * draw(st.integers(1, 9)),
            filters=groups * draw(st.integers(1, 9)),
            groups=groups,
        )
    return layer


HOW = st.tuples(st.sampled_from(["native", "nchw", "nhwc"]), st.sampled_from(["1", "2"]), st.booleans())
SOME = settings(max_examples=6, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("which", PASSES)
@SOME
@given(layer=layers(), how=HOW)
def test_single_channel_against_scipy(row: Row, which: str, layer: Layer, how: tuple[str, str, bool]) -> None:
    layout, threads, whole = how
    check_row(row, which, layer, scipy_gradient, whole, "--layout", layout, "--threads", threads)


@pytest.mark.parametrize("which", PASSES)
@SOME
@given(layer=layers(planes=True), how=HOW)
def test_any_layer_against_numpy(row: Row, which: str, layer: Layer, how: tuple[str, str, bool]) -> None:
    layout, threads, whole = how
    check_row(row, which, layer, numpy_gradient, whole, "--layout", layout, "--threads", threads)


@pytest.mark.parametrize("which", PASSES)
@pytest.mark.parametrize("layout", ["native", "nchw", "nhwc"])
def test_one_of_the_commonest_layers_is_supported_by_all(row: Row, which: str, layout: str) -> None:
    common = [
        Layer(Axis(9, taps, 9, pad=taps // 2), Axis(7, taps, 7, pad=taps // 2), batch=2, channels=5, filters=6)
        for taps in (3, 5)
    ]
    checked = [check_row(row, which, layer, numpy_gradient, False, "--layout", layout) for layer in common]
    assert any(checked)


@SOME
@given(layer=layers())
def test_the_opinions_agree(layer: Layer) -> None:
    random = np.random.default_rng(5)
    dy, x, w = (
        random.integers(-4, 5, shape).astype(np.float64) for shape in (layer.dy_shape, layer.x_shape, layer.w_shape)
    )
    for which, other in (("data", w), ("weights", x)):
        np.testing.assert_array_equal(numpy_gradient(which, layer, dy, other), scipy_gradient(which, layer, dy, other))


# What apply refuses. One line on stderr, its exit code, and nothing written.

LAYER = Layer(Axis(5, 3, 3), Axis(6, 2, 5), batch=2, channels=3, filters=4)


@pytest.fixture
def good(tmp_path: Path) -> dict[str, Path]:
    files = {"dy": tmp_path / "dy.npy", "w": tmp_path / "w.npy"}
    np.save(files["dy"], np.ones(LAYER.dy_shape, np.float32))
    np.save(files["w"], np.ones(LAYER.w_shape, np.float32))
    return files


def refused(run: subprocess.CompletedProcess[str], code: int, words: str, folder: Path) -> None:
    assert run.returncode == code, run.stderr
    assert run.stderr.startswith("convbwd: ")
    assert run.stderr.count("\n") == 1
    assert words in run.stderr
    assert run.stdout == ""
    assert sorted(file.name for file in folder.iterdir()) == ["dy.npy", "w.npy"]


def damaged(bytes_of: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def damage(file: Path) -> None:
        file.write_bytes(bytes_of(file.read_bytes()))

    return damage


def saved(change: Callable[[Floats], npt.NDArray[Any]]) -> Callable[[Path], None]:
    def save(file: Path) -> None:
        np.save(file, change(np.load(file)))

    return save


DAMAGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "float64": (saved(lambda a: a.astype(np.float64)), "dtype is '<f8'"),
    "big endian": (saved(lambda a: a.astype(">f4")), "dtype is '>f4'"),
    "integers": (saved(lambda a: a.astype(np.int32)), "dtype is '<i4'"),
    "objects": (saved(lambda a: a.astype(object)), "dtype is '|O'"),
    "structured": (saved(lambda a: a.astype([("value", "<f4")])), "dtype"),
    "long header": (saved(lambda _: np.zeros(1, [(f"field{i}", "<f4") for i in range(1000)])), "header of "),
    "Fortran order": (saved(np.asfortranarray), "Fortran order"),
    "transposed": (saved(lambda a: np.ascontiguousarray(a.transpose(0, 1, 3, 2))), "shape is (2, 4, 5, 3)"),
    "flat": (saved(np.ravel), "shape is (120,)"),
    "five axes": (saved(lambda a: a[None]), "shape is (1, 2, 4, 3, 5)"),
    "scalar": (saved(lambda a: np.float32(0) + a.sum()), "shape is ()"),
    "truncated": (damaged(lambda b: b[:-1]), "truncated"),
    "trailing byte": (damaged(lambda b: b + b"\0"), "1 bytes too many"),
    "cut in its header": (damaged(lambda b: b[:50]), "truncated in its header"),
    "empty": (damaged(lambda _: b""), "not a .npy file"),
    "text": (damaged(lambda _: b"1 2 3\n"), "not a .npy file"),
    "unknown version": (damaged(lambda b: b[:6] + b"\7" + b[7:]), "version 7.0"),
    "huge header": (damaged(lambda b: b[:6] + b"\2\0\xff\xff\xff\x7f" + b[10:]), "header of 2147483647 bytes"),
    "binary header": (damaged(lambda b: b[:10] + bytes(range(118)) + b[128:]), "header: "),
}


@pytest.mark.parametrize("which", DAMAGE)
def test_malformed_files_are_refused(which: str, good: dict[str, Path], tmp_path: Path) -> None:
    damage, words = DAMAGE[which]
    damage(good["dy"])
    run = apply("naive", "data", LAYER.descriptor, good, tmp_path / "out.npy")
    refused(run, 2, words, tmp_path)
    assert "--dy" in run.stderr


@pytest.mark.parametrize(
    ("name", "which", "problem", "words", "code"),
    [
        ("nobody", "data", LAYER.descriptor, "there are: naive", 2),
        ("naive:neon", "data", LAYER.descriptor, "it is for: baseline", 2),
        ("naive:", "data", LAYER.descriptor, "it is for: baseline", 2),
        ("naive", "both", LAYER.descriptor, "--pass: both not in", 2),
        ("naive", "weights", LAYER.descriptor, "--pass weights needs --x", 2),
        ("naive", "data", "ic3ih0oc4kh3", "--problem: ih is 0", 2),
        ("naive", "data", "ic3" * 30_000, "--problem: oc is required", 2),
        ("naive", "data", "zz" * 50_000, "--problem: unknown field", 2),
        ("naive", "data", "id3ic3oc4kd3", "--problem: 3-D", 2),
        ("naive", "data", "mb2ic3ih5oc4kh3", "shape is (2, 4, 3, 5), the problem needs (2, 4, 3, 3)", 2),
        ("winograd_f2_5x5", "data", LAYER.descriptor, "does not support this problem: ", 3),
    ],
)
def test_what_cannot_be_done_is_refused(
    name: str, which: str, problem: str, words: str, code: int, good: dict[str, Path], tmp_path: Path
) -> None:
    refused(apply(name, which, problem, good, tmp_path / "out.npy"), code, words, tmp_path)


@pytest.mark.parametrize(
    "more", [["--threads", "0"], ["--threads", "x"], ["--layout", "chwn"], ["--layout", "0"], ["--unknown"]]
)
def test_arguments_are_checked(more: list[str], good: dict[str, Path], tmp_path: Path) -> None:
    refused(apply("naive", "data", LAYER.descriptor, good, tmp_path / "out.npy", *more), 2, "see --help", tmp_path)


def test_files_that_are_none(good: dict[str, Path], tmp_path: Path) -> None:
    for file, words in ((tmp_path / "absent.npy", "no such file"), (tmp_path, "not a regular file")):
        run = apply("naive", "data", LAYER.descriptor, good | {"dy": file}, tmp_path / "out.npy")
        refused(run, 2, words, tmp_path)
    for out in (tmp_path / "absent" / "out.npy", tmp_path):
        refused(apply("naive", "data", LAYER.descriptor, good, out), 2, "--out", tmp_path)


def test_an_older_result_survives_a_refusal(good: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "out.npy"
    out.write_text("older")
    broken = tmp_path / "broken.npy"
    broken.write_text("")
    assert apply("naive", "data", LAYER.descriptor, good | {"dy": broken}, out).returncode == 2
    assert out.read_text() == "older"
    assert apply("naive", "data", LAYER.descriptor, good, out).returncode == 0
    assert np.load(out).shape == LAYER.x_shape


def test_other_inputs_are_not_ignored(good: dict[str, Path], tmp_path: Path) -> None:
    run = apply("naive", "data", LAYER.descriptor, good | {"x": good["w"]}, tmp_path / "out.npy")
    refused(run, 2, "reads dy and w only", tmp_path)
