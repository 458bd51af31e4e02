# SPDX-License-Identifier: Apache-2.0
"""Our own rows against the libraries': classes of layers, the exceptions, and several networks at once."""

import json
import re
import subprocess

import pytest
from convbwd_study import headline, overview, results, rival_tables, rivals
from convbwd_study.analysis import Analysis
from convbwd_study.layer_class import CLASSES, class_of
from convbwd_study.report import write_report
from convbwd_study.scene import Scene
from synthetic import Layer, Recipe, Row, write


@pytest.mark.parametrize(
    ("problem", "kind"),
    [
        ("mb8ic64ih56oc64oh56kh3ph1", "dense 3×3, stride 1"),
        ("mb8ic64ih56oc256oh56kh1ph0", "1×1, stride 1"),
        ("mb8ic256ih56oc512oh28kh1sh2ph0", "strided"),
        ("mb8ic128ih56oc128oh28kh3sh2ph1", "strided"),
        ("mb8ic3ih224oc64oh112kh7sh2ph3", "stem, C ≤ 4"),
        ("mb8ic4ih32oc8oh32kh1ph0", "stem, C ≤ 4"),
        ("mb8g32ic32ih112oc32oh112kh3ph1", "depthwise"),
        ("mb8g3ic3ih9oc6oh9kh3ph1", "depthwise"),
        ("mb8g32ic128ih56oc128oh56kh3ph1", "grouped"),
        ("mb8ic64ih28oc64oh28kh3ph2dh1", "dilated"),
        ("mb8ic64ih28oc64oh14kh3sh2ph2dh1", "dilated"),
        ("mb8ic64ih28oc64oh28kh5ph2", "other"),
        ("mb8ic64ih28iw30oc64oh28ow30kh3kw1ph1pw0", "other"),
        ("mb8ic64ih28iw30oc64oh28ow30kh3kw3ph1pw1", "dense 3×3, stride 1"),
        ("mb8ic64ih28iw30oc64oh28ow15kh3kw3sw2ph1pw1", "strided"),
        ("mb8ic64ih28iw30oc64oh14ow30kh3kw3sh2ph1pw1", "strided"),
        ("mb8ic64ih28iw30oc64oh28ow30kh3kw3ph1pw2dw1", "dilated"),
        ("", "other"),
        ("mb8ih28oc64kh3", "other"),
        ("ic" + "9" * 5000 + "kh3", "other"),
        ("<script>", "other"),
    ],
)
def test_classes_of_layers(problem, kind):
    assert class_of(problem) == kind
    assert kind in CLASSES


def test_classes_of_resnet50(convbwd):
    """As the programs print its layers."""
    done = subprocess.run([convbwd, "layers", "--workload=resnet50", "--json"], capture_output=True, check=True)
    kinds = [class_of(layer["problem"]) for layer in json.loads(done.stdout)["layers"]]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {
        "stem, C ≤ 4": 1,
        "1×1, stride 1": 12,
        "strided": 6,
        "dense 3×3, stride 1": 4,
    }


LAYERS = [
    Layer("dense_a", problem="mb8ic64ih56oc64oh56kh3ph1"),
    Layer("dense_b", count=3, problem="mb8ic64ih28oc64oh28kh3ph1"),
    Layer("depth", problem="mb8g64ic64ih56oc64oh56kh3ph1"),
]
ROWS = [
    Row("ours", efficiency=0.4, spread=0.002),
    Row("slow", efficiency=0.1),
    Row("onednn", efficiency=0.2, spread=0.002, library=True),
    Row("onednn_best", efficiency=0.25, spread=0.002, library=True),
    Row("libxsmm", efficiency=0.3, spread=0.002, library=True),
]


def ours(efficiency=0.4, **others):
    return Row("ours", efficiency=efficiency, spread=0.002, **others)


OVERRIDES = {
    ("dense_b", "data", "ours"): ours(0.24),
    ("dense_b", "data", "slow"): Row("slow", efficiency=0.23),
    ("dense_a", "weights", "ours"): ours(0.297),
    ("depth", "data", "ours"): ours(error="skip: not yet"),
    ("depth", "data", "slow"): Row("slow", error="skip: not yet"),
}


@pytest.fixture
def scene(tmp_path):
    analysis = Analysis(results.load(write(tmp_path / "s", Recipe(layers=LAYERS, rows=ROWS, overrides=OVERRIDES))))
    return Scene(analysis, analysis.views[0])


def texts(table):
    return [[cell.text for cell in row] for row in table.rows]


def test_exceptions_are_listed_worst_first(scene):
    table = rival_tables.exceptions(scene)
    unable, slower = texts(table)
    assert unable[:6] == ["depth", "dx", "depthwise", "no time", "libxsmm:avx2", "–"]
    assert slower[:5] == ["dense_b", "dx", "dense 3×3, stride 1", "ours:avx2", "libxsmm:avx2"]
    assert re.fullmatch(r"0\.[78]\d*× \(0\.[78]\d*–0\.8\d*\)", slower[5])
    assert [unable[6], slower[6]] == ["yes", "yes"]
    assert table.rows[1][7].sort == pytest.approx(3 * 2 * 4e8 * (1 / 24e9 - 1 / 30e9), rel=0.1)
    assert table.note.startswith("2 of 6 layer passes, 2 of them for certain")
    assert "it falls below 0.97 of the best of them on 2 of 6 layer passes." in " ".join(headline.of_view(scene))


def test_what_is_hardly_slower_is_no_exception_and_scattered_rounds_make_none_certain(tmp_path):
    close = Row("ours", efficiency=0.294, spread=0.002)
    scattered = {("l", "data", "ours"): Row("ours", efficiency=0.27, spread=0.2)}
    one = {"layers": [Layer("l")], "passes": ("data",)}
    for overrides, count, certain in (({("l", "data", "ours"): close}, 0, 0), (scattered, 1, 0)):
        folder = write(tmp_path / str(count), Recipe(rows=ROWS, overrides=overrides, **one))
        analysis = Analysis(results.load(folder))
        scene = Scene(analysis, analysis.views[0])
        found = rivals.exceptions(scene.duels)
        assert (len(found), sum(duel.is_certain for duel in found)) == (count, certain)
        none = "None of 1 layer pass: our best row reaches 0.97× the best other"
        assert rival_tables.exceptions(scene).note.startswith(none) is not bool(count)


def test_classes_hold_geometric_means_against_the_best_of_the_vendors_rows(scene):
    table = rival_tables.classes(scene.duels)
    dense, depth, every = texts(table)
    assert table.columns[0] == "class"
    assert [line[0] for line in (dense, depth, every)] == ["dense 3×3, stride 1", "depthwise", "all"]
    assert [dense[1], dense[4], depth[1], depth[4], every[1]] == ["2", "2", "0", "1", "2"]
    means = rivals.by_class(scene.duels)["dense 3×3, stride 1"]
    assert means["data"].mean.value == pytest.approx((0.4 / 0.25 * 0.24 / 0.25) ** 0.5, rel=0.02)
    assert means["data"].mean.lo < means["data"].mean.value < means["data"].mean.hi
    assert means["data"].worst == pytest.approx(0.24 / 0.25, rel=0.03)
    assert means["weights"].mean.value == pytest.approx((0.297 / 0.25 * 0.4 / 0.25) ** 0.5, rel=0.02)
    assert dense[2].startswith("1.2")
    assert depth[2] == "–"


@pytest.mark.parametrize("rows", [ROWS[:2], ROWS[2:]])
def test_without_libraries_or_without_ours_there_is_nothing_to_compare(tmp_path, rows):
    analysis = Analysis(results.load(write(tmp_path / "s", Recipe(rows=rows))))
    scene = Scene(analysis, analysis.views[0])
    assert scene.duels == []
    assert overview.tables([scene]) == []


def test_the_report_has_both_tables(tmp_path):
    folder = write(tmp_path / "s", Recipe(layers=LAYERS, rows=ROWS, overrides=OVERRIDES))
    write_report(folder)
    for text in ((folder / "report.html").read_text(), (folder / "summary.md").read_text()):
        assert "Exceptions: layers on which our best row is slower than 0.97× the best other" in text
        assert "Our best against onednn, by class of layer" in text
        assert "side by side" not in text


def test_several_networks_are_put_side_by_side(tmp_path):
    folder = write(tmp_path / "s", Recipe(layers=LAYERS, rows=ROWS, overrides=OVERRIDES, workload="one"))
    other = write(tmp_path / "o", Recipe(layers=LAYERS, rows=ROWS, workload="other", threads=(1, 2)))
    manifest, more = (json.loads((one / "manifest.json").read_text()) for one in (folder, other))
    for cell in more["cells"]:
        key = cell["key"].replace("cell", "more")
        (other / "cells" / f"{cell['key']}.json").rename(folder / "cells" / f"{key}.json")
        manifest["cells"].append(cell | {"key": key})
    manifest["workloads"] |= more["workloads"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    analysis = Analysis(results.load(folder))
    networks, *classes = overview.tables([Scene(analysis, view) for view in analysis.views])
    assert [(line[0], line[2], line[3], line[-1]) for line in texts(networks)] == [
        ("one", "3", "libxsmm", "2 of 6"),
        ("other", "3", "ours", "0 of 6"),
        ("other", "3", "ours", "0 of 6"),
    ]
    (pooled,) = classes
    assert pooled.title.endswith("all workloads, batch 8, 1 thread, native layout, warm cache")
    assert texts(pooled)[0][1] == "4"
    write_report(folder)
    page = (folder / "report.html").read_text()
    assert page.index("Everything side by side") < page.index('id="view"')
    assert "Everything side by side" in (folder / "summary.md").read_text()
