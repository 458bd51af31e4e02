# SPDX-License-Identifier: Apache-2.0
"""What single pictures show: the stages of executions, errors beside speed."""

import xml.etree.ElementTree as ET
from itertools import combinations

import pytest
from convbwd_study import charts, results, theme
from convbwd_study.analysis import Analysis
from convbwd_study.scene import Scene
from hostile import HOSTILE_STAGES, hostile_recipe
from synthetic import Layer, Recipe, Row, write


def figure_of(folder, slug, recipe=None, **settings):
    """The figure of a study with one layer and pass, or of `recipe`; None if there is no such figure."""
    alone = {"layers": [Layer("l")], "passes": ("data",)}
    analysis = Analysis(results.load(write(folder / "study", recipe or Recipe(**(alone | settings)))))
    figures = charts.of_view(Scene(analysis, analysis.views[0]))
    return next((figure for figure in figures if figure.slug == slug), None)


def channel(spec, name):
    """That encoding of the first mark that has it."""
    inner = spec.get("spec", spec)
    return next(part["encoding"][name] for part in inner.get("layer", [inner]) if name in part["encoding"])


def drawn(figure):
    """As SVG, with a number wherever one belongs."""
    picture = charts.svg(figure)
    ET.fromstring(picture)
    assert "NaN" not in picture
    assert "Infinity" not in picture
    return picture


# --- stages -------------------------------------------------------------------------------------------------------


def test_stages_are_shares_the_longest_first(tmp_path):
    rows = [
        Row("f2", stages={"images": 3.0, "filters": 1.0, "products": 6.0}),
        Row("f4", stages={"images": 2.0, "products": 2.0}),
        Row("direct"),
    ]
    figure = figure_of(tmp_path, "stages", rows=rows)
    share = {(row.impl, row.stage): row.share for row in figure.data.itertuples()}
    assert share == pytest.approx(
        {
            ("f2", "images"): 0.3,
            ("f2", "filters"): 0.1,
            ("f2", "products"): 0.6,
            ("f4", "images"): 0.5,
            ("f4", "products"): 0.5,
        }
    )
    assert channel(figure.spec(), "color")["scale"]["domain"] == ["products", "images", "filters"]
    assert {row["stage"]: row["place"] for data in figure.spec()["datasets"].values() for row in data} == {
        "products": 0,
        "images": 1,
        "filters": 2,
    }
    drawn(figure)


def test_rows_whose_stages_took_no_time_have_no_bar(tmp_path):
    idle = Row("idle", stages={"images": 0.0, "products": 0.0})
    figure = figure_of(tmp_path, "stages", rows=[idle, Row("f2", stages={"images": 0.0, "products": 1.0})])
    assert set(figure.data["impl"]) == {"f2"}
    assert figure.data["share"].tolist() == [0, 1]
    drawn(figure)
    assert figure_of(tmp_path / "alone", "stages", rows=[idle]) is None


def test_without_stages_there_is_no_picture_of_them(tmp_path):
    assert figure_of(tmp_path, "stages", rows=[Row("direct"), Row("slow", rounds=1, stages={"products": 1.0})]) is None


def test_colours_of_stages_belong_to_names():
    one, other = (theme.stage_scale(names).to_dict() for names in (["b", "c", "a"], ["a", "b", "c"]))
    assert dict(zip(one["domain"], one["range"], strict=True)) == dict(
        zip(other["domain"], other["range"], strict=True)
    )
    assert one["domain"] == ["b", "c", "a"]
    assert len(theme.stage_scale([str(i) for i in range(16)]).to_dict()["range"]) == 16
    assert all(a != b for a, b in combinations(theme.STAGE_COLOURS, 2))
    assert set(theme.STAGE_COLOURS) <= set(theme.PALETTE)


def test_hostile_names_of_stages_are_data(tmp_path):
    figure = figure_of(tmp_path, "stages", hostile_recipe())
    assert set(figure.data["stage"]) == set(HOSTILE_STAGES)
    shown = set(channel(figure.spec(), "color")["scale"]["domain"])
    assert {"constructor\u200b", "__proto__\u200b"} <= shown
    assert {row["stage"] for data in figure.spec()["datasets"].values() for row in data} == shown
    picture = drawn(figure)
    assert "<script" not in picture
    assert "<img" not in picture


# --- accuracy -----------------------------------------------------------------------------------------------------


def drawn_at(figure, name):
    """By implementation, the value of a field of the data as drawn."""
    return {row["impl"]: row[name] for data in figure.spec()["datasets"].values() for row in data if name in row}


def test_each_point_has_its_error_and_a_tick_at_its_bound(tmp_path):
    figure = figure_of(tmp_path, "accuracy", rows=[Row("f4", error_rms=1e-6, error_bound=0.02), Row("direct")])
    ticks, points = figure.spec()["spec"]["layer"]
    assert (ticks["mark"]["type"], points["mark"]["type"]) == ("tick", "point")
    assert drawn_at(figure, ticks["encoding"]["x"]["field"]) == {"f4": 0.02, "direct": 1e-4}
    assert drawn_at(figure, points["encoding"]["x"]["field"]) == {"f4": 1e-6, "direct": 1e-7}
    assert "At the left edge" not in figure.caption
    assert "Not shown" not in figure.caption
    drawn(figure)


def test_exact_rows_are_at_the_left_edge(tmp_path):
    figure = figure_of(tmp_path, "accuracy", rows=[Row("exact", error_rms=0.0, error_bound=0.0), Row("direct")])
    assert drawn_at(figure, "x") == {"exact": 1e-9, "direct": 1e-7}
    assert drawn_at(figure, "bound")["exact"] == 1e-9
    assert "At the left edge: 1 row without any error." in figure.caption
    assert figure.data.set_index("impl").loc["exact", "error_rms"] == 0
    drawn(figure)


def test_rows_that_ran_only_once_are_counted_and_not_shown(tmp_path):
    rows = [Row("naive", rounds=1), Row("direct"), Row("f4", error_rms=3e-7)]
    figure = figure_of(tmp_path, "accuracy", rows=rows)
    assert set(figure.data["impl"]) == {"direct", "f4"}
    assert "Not shown: 1 row that ran only once" in figure.caption


def test_older_studies_show_how_much_of_the_allowed_error_was_used(tmp_path):
    rows = [Row("a", error_rms=None, error_ratio=0.0), Row("b", error_rms=None, error_ratio=0.2)]
    figure = figure_of(tmp_path, "accuracy", rows=rows)
    assert drawn_at(figure, "x") == {"a": 1e-6, "b": 0.2}
    assert [part["mark"]["type"] for part in figure.spec()["spec"]["layer"]] == ["point"]
    assert "At the left edge: 1 row" in figure.caption
    drawn(figure)
