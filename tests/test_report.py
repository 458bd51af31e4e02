# SPDX-License-Identifier: Apache-2.0
"""Reports of ordinary, odd, damaged and hostile studies."""

import csv
import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pandas as pd
import pytest
from convbwd_study import answers, charts, headline, results, tables, theme, words
from convbwd_study.analysis import Analysis
from convbwd_study.report import write_report
from convbwd_study.scene import Scene
from convbwd_study.stats import Estimate
from hostile import HOSTILE, hostile_recipe
from showcase import showcase
from synthetic import Layer, Recipe, Row, write

FIXTURE = Path(__file__).parent / "data" / "fixture_study"


def scene_of(folder):
    analysis = Analysis(results.load(folder))
    return Scene(analysis, analysis.views[0])


@pytest.fixture(scope="session")
def shown(tmp_path_factory):
    """A full study of 23 layers, with its report."""
    folder = write(tmp_path_factory.mktemp("showcase") / "study", showcase())
    write_report(folder)
    return folder


def test_everything_is_written(shown):
    names = {path.name for path in shown.iterdir()}
    assert {"report.html", "summary.md", "results.csv", "figures"} <= names
    pictures = {path.stem for path in (shown / "figures").glob("*.svg")}
    assert pictures == {path.stem for path in (shown / "figures").glob("*.csv")}
    wanted = {"network", "winners", "layers-data", "layers-weights", "vendor"}
    wanted |= {"roofline", "accuracy", "workspace", "stages"}
    assert {name.removeprefix("resnet50-b8-t1-native-warm-") for name in pictures} == wanted
    assert len(pd.read_csv(shown / "results.csv")) == 23 * 2 * 9


def test_figures_are_whole_and_drawn_on_paper(shown):
    for picture in (shown / "figures").glob("*.svg"):
        root = ET.parse(picture).getroot()
        assert root.tag.endswith("svg")
        assert len(list(root.iter("{http://www.w3.org/2000/svg}path"))) > 10, picture.name


def test_no_mark_has_a_colour_nobody_chose(shown):
    for picture in (shown / "figures").glob("*.svg"):
        assert "#4c78a8" not in picture.read_text().lower(), f"{picture.name}: Vega's own blue"


def test_the_page_refers_to_nothing_outside(shown):
    page = (shown / "report.html").read_text()
    markup = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r"(src|href)\s*=\s*(?![\"']?#)", markup)
    assert "url(" not in markup
    assert "default-src &#39;none&#39;" in page
    assert page.count("<script>") == 2


def test_the_headline_says_who_won(shown):
    text = headline.of_study(results.load(shown), [scene_of(shown)])
    assert re.search(r"Data gradient \(dx\): onednn is fastest on \d+ of 23 layers", text)
    assert "Weight gradient (dw): " in text
    wanted = (
        r"Use the best of each layer: the whole backward pass of resnet50 then takes [\d.]+ s, 1\.\d+ times as fast"
    )
    assert re.search(wanted, text)
    assert "1 row computed something wrong and was not timed." in text
    assert "1 row failed." in text


def test_counts_of_the_headline_add_up(shown):
    winners = scene_of(shown).winners
    for sentence in [one for one in headline.of_view(scene_of(shown)) if "gradient (d" in one]:
        counted = sum(int(n) for n in re.findall(r"on (\d+)", re.sub(r"\(among them .*?\)", "", sentence)))
        assert counted == 23
    assert len(winners) == 46


def test_a_rival_that_wins_everything_is_named(tmp_path):
    rows = [Row("avx2", efficiency=0.5), Row("onednn", efficiency=0.8, library=True)]
    scene = scene_of(write(tmp_path / "s", Recipe(rows=rows)))
    text = " ".join(headline.of_view(scene))
    assert "onednn is fastest on 2 of 2 layers" in text
    assert "Without onednn, the best of each layer is 0.62" in text


def test_totals_are_weighted_sums(tmp_path):
    layers = [Layer("first", count=1, macs=5e8), Layer("rest", count=10, macs=1e8)]
    scene = scene_of(
        write(
            tmp_path / "s",
            Recipe(layers=layers, rows=[Row("a", spread=0), Row("b", efficiency=0.25, spread=0)], drift=0),
        )
    )
    seconds = {total.name: total.seconds.value for total in scene.totals[True]}
    assert seconds["a"] == pytest.approx(2 * (2 * 5e8 + 10 * 2 * 1e8) / 50e9)
    assert seconds["b"] == pytest.approx(2 * seconds["a"])
    assert seconds[answers.BEST] == pytest.approx(seconds["a"])
    reduced = next(total for total in scene.totals[False] if total.name == "a")
    assert reduced.seconds.value == pytest.approx(seconds["a"] - 2 * 5e8 / 50e9)
    assert reduced.by_pass["weights"].value == pytest.approx(2 * (5e8 + 10 * 1e8) / 50e9)


def test_what_lacks_layers_is_marked_and_comes_last(shown):
    scene = scene_of(shown)
    winograd = scene.totals[True][-1]
    assert (winograd.name, winograd.missing, winograd.shared, winograd.of) == ("winograd_f2", 38, 8, 46)
    row = next(row for row in tables.totals(scene).rows if row[0].text == "winograd_f2")
    assert "+ 38 missing" in row[1].text
    assert "over 8 of 46" in row[2].text
    assert scene.totals[True][0].missing == 0


def test_single_runs_leave_a_total_without_interval(shown):
    naive = next(total for total in scene_of(shown).totals[True] if total.name == "naive")
    assert naive.single == 46
    assert not naive.seconds.has_interval


def test_every_row_has_a_command_that_measures_it_again(shown):
    with (shown / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert all(row["reproduce"].startswith("convbwd_bench --problem=mb8ic") for row in rows)
    assert len({row["reproduce"] for row in rows}) == len(rows)


def test_winners_need_a_clear_lead(tmp_path):
    rows = [Row("a", spread=0.001), Row("b", spread=0.001), Row("c", efficiency=0.3, spread=0.001)]
    winners = scene_of(write(tmp_path / "s", Recipe(rows=rows))).winners
    assert set(winners["result"]) == {"tie"}
    assert all(set(close) <= {"a", "b"} for close in winners["close"])
    few = scene_of(write(tmp_path / "few", Recipe(rows=rows, rounds=3))).winners
    assert set(few["result"]) == {"open"}


ODD = {
    "one row": Recipe(layers=[Layer("l")], rows=[Row("a")], passes=("data",)),
    "one round": Recipe(rounds=1),
    "failing rows only": Recipe(rows=[Row("a", error="failed: crashed"), Row("b", error="skip: no")]),
    "incomplete": Recipe(drop=3),
    "several conditions": Recipe(threads=(1, 2), caches=("warm", "cold"), layers=[Layer("l")]),
    "several caps": Recipe(caps=("avx512", "avx2")),
    "no peak measured": Recipe(machine={"fma_peak_gflops_before": "0", "fma_peak_gflops_after": "0.000000"}),
    "no bandwidth": Recipe(machine={"bandwidth_gbs_before": "0", "bandwidth_gbs_after": "0"}),
    "no vendor": Recipe(rows=[Row("a"), Row("b", efficiency=0.2)]),
    "vendor alone": Recipe(rows=[Row("onednn")]),
    "hostile names": hostile_recipe(),
}


@pytest.mark.parametrize("kind", [kind for kind in ODD if kind != "several conditions"])
def test_odd_studies_have_a_report(tmp_path, kind):
    folder = write(tmp_path / "study", ODD[kind])
    result = write_report(folder)
    assert result.path.stat().st_size > 500_000
    assert result.headline
    expected = 0 if kind == "failing rows only" else 1
    assert bool(list((folder / "figures").glob("*.svg"))) == bool(expected)


def test_an_incomplete_study_says_so(tmp_path):
    folder = write(tmp_path / "study", Recipe(drop=3))
    result = write_report(folder)
    assert "3 of 4 cells are missing" in result.headline
    assert "3 of 4 planned cells have not been measured" in (folder / "report.html").read_text()
    assert "3 of 4 planned cells" in (folder / "summary.md").read_text()


def test_each_set_of_conditions_has_its_own_section(tmp_path):
    folder = write(tmp_path / "study", ODD["several conditions"])
    write_report(folder)
    page = (folder / "report.html").read_text()
    assert page.count('<section class="view"') == 4
    assert "2 threads, native layout, cold cache" in page
    assert list((folder / "figures").glob("conditions-*.svg"))


def test_the_best_cap_stands_for_an_implementation(tmp_path):
    rows = [Row("a", efficiency=0.3), Row("onednn", efficiency=0.5)]
    folder = write(tmp_path / "study", Recipe(rows=rows, caps=("avx512",), layers=[Layer("l")], passes=("data",)))
    other = write(
        tmp_path / "other",
        Recipe(rows=[Row("a", "baseline", 0.1), *rows[1:]], caps=("baseline",), layers=[Layer("l")], passes=("data",)),
    )
    (other / "cells" / "cell0000.json").rename(folder / "cells" / "cell0001.json")
    analysis = Analysis(results.load(folder))
    assert len(analysis.best) == 2
    assert analysis.best.set_index("impl").loc["a", "isa"] == "avx2"
    slow = analysis.contenders[analysis.contenders["contender"] == "a:baseline"].iloc[0]
    fast = analysis.contenders[analysis.contenders["contender"] == "a:avx2"].iloc[0]
    assert analysis.ratio(slow, fast).estimate.value == pytest.approx(3, rel=0.05)


def test_hostile_names_stay_text(tmp_path):
    folder = write(tmp_path / "study", hostile_recipe())
    write_report(folder)
    page = (folder / "report.html").read_text()
    assert HOSTILE not in page
    assert page.count("<script>") == 2
    assert "<img src=x" not in page
    specs = re.findall(r'<script type="application/json" id="spec-[^"]*">(.*?)</script>', page, flags=re.DOTALL)
    assert specs
    assert any(HOSTILE in json.dumps(json.loads(spec), ensure_ascii=False) for spec in specs)
    for spec in specs:
        for expression in re.findall(r'"(?:expr|test|filter|calculate|labelExpr)": ?"(.*?)"', spec):
            assert "alert" not in expression
    for picture in (folder / "figures").glob("*.svg"):
        text = picture.read_text()
        ET.fromstring(text)
        assert "<script" not in text
        assert "<img" not in text
    summary = (folder / "summary.md").read_text()
    assert "<script" not in summary
    assert "<img" not in summary
    assert not re.search(r"(?<!\\)\]\(javascript", summary)
    for table in [folder / "results.csv", *(folder / "figures").glob("*.csv")]:
        with table.open(newline="") as file:
            for line in csv.reader(file):
                assert not [cell for cell in line if cell.startswith(("=", "@", "\t", "\r"))]


def test_markdown_tables_keep_their_columns(tmp_path):
    folder = write(tmp_path / "study", hostile_recipe())
    write_report(folder)
    lines = (folder / "summary.md").read_text().splitlines()
    width = 0
    for line in lines:
        if not line.startswith("|"):
            width = 0
            continue
        columns = len(re.findall(r"(?<!\\)\|", line))
        assert width in (0, columns), line
        width = columns


def test_colours_belong_to_names():
    names = [
        "naive",
        "as_convolution",
        "reordered",
        "openmp",
        "im2col_gemm",
        "im2col_blas",
        "avx2",
        "winograd_f2",
        "onednn",
    ]
    chosen = theme.colours(names)
    assert len(set(chosen.values())) == len(names)
    assert theme.colours(["onednn", "avx2"]) == {name: chosen[name] for name in ("onednn", "avx2")}
    many = [f"row_{i}" for i in range(40)]
    assert len(set(theme.colours(many[: len(theme.PALETTE)]).values())) == len(theme.PALETTE)
    assert len(theme.colours(many)) == 40


def test_words():
    assert words.duration(0.0123) == "12.3 ms"
    assert words.duration(2.5e-9) == "2.50 ns"
    assert words.duration(float("nan")) == words.NONE
    assert words.duration_with_interval(Estimate(1.31, 1.3081, 1.3131)) == "1.310 s (1.308–1.313)"
    assert words.times_with_interval(Estimate(2.0)) == "2.00×"
    assert words.size(3 * 2**20) == "3.00 MiB"
    assert words.significant(12345.6) == "12346"
    assert words.significant(0.000123) == "0.000123"
    assert words.enumerated(["a", "b", "c"]) == "a, b and c"


def test_specs_name_no_colour_of_paper_or_ink(shown):
    for figure in charts.of_view(scene_of(shown)):
        assert "config" not in figure.spec()
        assert figure.caption
        assert len(figure.data)
