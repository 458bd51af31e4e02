# SPDX-License-Identifier: Apache-2.0
"""Many contenders on networks of many layers: colours and shapes told apart, charts that fit, pages that stay small."""

import json
from itertools import combinations, pairwise

import numpy as np
import pytest
from convbwd_study import charts, headline, layer_charts, layer_maps, results, tables, theme
from convbwd_study.analysis import Analysis
from convbwd_study.page import MOST_ROWS
from convbwd_study.report import Content, write_report
from convbwd_study.scene import Scene
from showcase import CROWD, crowded, showcase
from synthetic import Recipe, Row, write
from test_browser import BROWSER, DRIVER, assert_healthy, opened

PAGE_WIDTH = 1140  # of what a laptop's window leaves for a chart


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write(tmp_path_factory.mktemp("crowd") / "study", crowded())


@pytest.fixture(scope="module")
def scene(folder):
    analysis = Analysis(results.load(folder))
    return Scene(analysis, analysis.views[0])


def oklab(colour):
    """Coordinates in which equal distances look equally far apart (B. Ottosson, 2020)."""
    rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    cones = [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
    opponents = [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
    return np.array(opponents) @ np.cbrt(np.array(cones) @ linear)


def test_sixteen_colours_and_the_greys_are_told_apart():
    distances = {
        (a, b): np.linalg.norm(oklab(a) - oklab(b)) for a, b in combinations([*theme.PALETTE, *theme.VENDOR_GREYS], 2)
    }
    assert len(theme.PALETTE) == 16
    assert min(distances.values()) > 0.12, min(distances, key=distances.get)


def test_no_two_contenders_look_alike():
    names = [name for name, *_ in CROWD]
    assert len(set(theme.colours(names).values())) == len(names)
    assert set(theme.colours(["onednn", "onednn_best"]).values()) == set(theme.VENDOR_GREYS)
    looks = zip(theme.colours(names).values(), theme.shape_scale(names).to_dict()["range"], strict=True)
    assert len(set(looks)) == len(names)


def test_blocks_keep_the_order_and_are_about_as_long():
    layers = [f"l{i}" for i in range(101)]
    for most in (None, 2):
        found = layer_maps.blocks(layers, most)
        assert [layer for block in found for layer in block] == layers
        assert len(found) == (most or 3)
        assert all(abs(len(a) - len(b)) <= 1 for a, b in pairwise(found))
    assert layer_maps.blocks(layers[:40]) == [layers[:40]]
    assert layer_maps.blocks(layers[:1], 2) == [layers[:1]]


def rates(recipe, folder):
    analysis = Analysis(results.load(write(folder, recipe)))
    return layer_charts.rates(Scene(analysis, analysis.views[0]), "data")


def test_bars_give_way_to_points_where_they_would_be_too_thin_or_too_short(tmp_path, scene):
    few = rates(showcase(), tmp_path / "few")
    assert "One group of bars a layer" in few.caption
    many = layer_charts.rates(scene, "data")
    assert "One row a layer" in many.caption
    assert len(many.spec()["vconcat"]) == 3
    slow = {("conv1", "data", row.impl): Row(row.impl, efficiency=0.01) for row in Recipe().rows}
    flat = rates(Recipe(overrides=slow), tmp_path / "flat")
    assert "logarithmic" in flat.caption
    assert json.dumps(flat.spec()).count('"type": "log"') >= 1


def test_sentences_stay_short(scene):
    for sentence in headline.of_view(scene):
        assert len(sentence) < 400, sentence


def test_every_name_is_in_the_pictures(scene):
    names = {name for name, *_ in CROWD}
    some = {"accuracy": names - {"naive", "as_convolution"}, "stages": {"winograd_f2", "winograd_f4"}}
    for figure in charts.of_view(scene):
        if figure.slug not in ("winners",):
            drawn = set(figure.data["impl"])
            assert drawn >= some.get(figure.slug, names), figure.slug


def test_numbers_in_pages_have_no_more_digits_than_are_seen(scene):
    rows = [row for data in charts.of_view(scene)[0].spec()["datasets"].values() for row in data]
    floats = [value for row in rows for value in row.values() if isinstance(value, float)]
    assert floats
    assert all(len(f"{value!r}".replace(".", "").lstrip("0").rstrip("0")) <= 11 for value in floats)
    assert tables.Cell("x", 1 / 3).key == "0.333333"
    assert tables.Cell("x", float("inf")).key == "inf"
    assert tables.Cell("x", "name").key == "name"


def test_a_page_does_not_hold_more_rows_than_browsers_bear():
    class View:
        everything = tables.Table("All rows", [], [[]] * (MOST_ROWS // 2 + 1))

    content = {
        "study": None,
        "warnings": [],
        "side_by_side": [],
        "overview": [],
        "census": "",
        "trouble": [],
        "facts": {},
    }
    assert Content(views=[View()], **content).inlined
    assert not Content(views=[View()] * 2, **content).inlined


@pytest.mark.skipif(not (BROWSER and DRIVER), reason="chromium and chromedriver are not installed")
def test_charts_fit_the_page_and_names_single_out_points(folder):
    page = write_report(folder).path
    assert page.stat().st_size < 9e6
    with opened(page) as driver:
        assert_healthy(driver, page)
        widths = driver.execute_script(
            "return [...document.querySelectorAll('.chart svg.marks')].map((svg) => svg.getBoundingClientRect().width)"
        )
        assert len(widths) == 9
        assert max(widths) <= PAGE_WIDTH
        figure = "document.querySelector('figure[id$=layers-data]')"
        faint = f"return [...{figure}.querySelectorAll('.role-mark path[opacity=\"0.08\"]')].length"
        assert driver.execute_script(faint) == 0
        symbols = driver.find_elements("css selector", "figure[id$=layers-data] .role-legend-symbol path")
        driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", symbols[-1])
        driver.execute_script("arguments[0].dispatchEvent(new MouseEvent('click', {bubbles: true}))", symbols[-1])
        assert driver.execute_script(faint) > 100
