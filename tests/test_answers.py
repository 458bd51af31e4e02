# SPDX-License-Identifier: Apache-2.0
"""Who wins, and how a headline says it: ranking, lead and verdict come from the same paired rounds."""

import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
from convbwd_study import answers, comparison, headline, layer_maps, results, stats, tables, words
from convbwd_study.analysis import Analysis
from convbwd_study.scene import Scene
from synthetic import Layer, Recipe, Row, write

ONE = Recipe(layers=[Layer("l")], passes=("data",))


def scene_of(folder):
    analysis = Analysis(results.load(folder))
    return Scene(analysis, analysis.views[0])


def timed(folder, milliseconds, recipe=ONE):
    """A study of one cell whose implementations took these times, by round; None where one sat out."""
    rounds = max(map(len, milliseconds.values()))
    write(folder, Recipe(**{**vars(recipe), "rows": [Row(name) for name in milliseconds], "rounds": rounds}))
    path = folder / "cells" / "cell0000.json"
    document = json.loads(path.read_text())
    for entry in document["benchmarks"]:
        impl = entry["name"].split("/")[2].partition(":")[0]
        entry["real_time"] = milliseconds[impl][int(entry["round"])]
    document["benchmarks"] = [entry for entry in document["benchmarks"] if entry["real_time"]]
    path.write_text(json.dumps(document))
    return scene_of(folder)


SLOWING = np.linspace(1, 2, 13)
RAN_EARLY = {"steady": [*SLOWING], "early": [*(1.05 * SLOWING[:7]), *[None] * 6]}


def test_the_winner_is_faster_in_the_rounds_that_both_ran(tmp_path):
    scene = timed(tmp_path / "s", RAN_EARLY)
    medians = scene.rows.set_index("impl")["seconds"]
    assert medians["early"] < medians["steady"], "what a ranking by medians would follow"
    (winner,) = scene.winners.to_dict("records")
    assert (winner["impl"], winner["result"], winner["runner_up"]) == ("steady", "clear", "early")
    assert winner["margin"] == pytest.approx(1.05)
    assert winner["lo"] == pytest.approx(1.05)
    (line,) = tables.winners(scene).rows
    assert [cell.text for cell in line][3::3] == ["steady:avx2", "fastest", "13"]
    best = next(total for total in scene.totals[True] if total.name == answers.BEST)
    assert best.seconds.value == medians["steady"]


def test_who_beat_each_other_in_a_circle_have_no_winner_and_no_lead(tmp_path):
    wheel = [[1.0, 1.1, 1.2], [1.1, 1.2, 1.0], [1.2, 1.0, 1.1]]
    times = {name: [wheel[round_ % 3][i] for round_ in range(9)] for i, name in enumerate("abc")}
    scene = timed(tmp_path / "s", times)
    (winner,) = scene.winners.to_dict("records")
    assert winner["result"] == "open"
    assert sorted(answers.leaders(winner)) == ["a", "b", "c"]
    assert np.isnan(winner["margin"])
    assert "on 1 of 1 layer a, b and c cannot be told apart" in " ".join(headline.of_view(scene))


@pytest.mark.parametrize("seed", range(8))
def test_no_lead_is_below_one(tmp_path, seed):
    rng = np.random.default_rng(seed)
    drift = np.exp(np.cumsum(rng.normal(0, 0.05, 9)))
    times = {}
    for name in "abcde":
        rounds = int(rng.integers(4, 10))
        times[name] = [*(drift * np.exp(rng.normal(0, 0.02, 9)))[:rounds], *[None] * (9 - rounds)]
    scene = timed(tmp_path / "s", times)
    (winner,) = scene.winners.to_dict("records")
    assert not winner["margin"] < 1
    ratios = [scene.analysis.ratio(row, best).estimate.value for row, best in pairs(scene, winner["impl"])]
    assert min(ratios) == pytest.approx(winner["margin"]) or (np.isnan(winner["margin"]) and min(ratios) < 1)


def pairs(scene, impl):
    rows = scene.rows.to_dict("records")
    best = next(row for row in rows if row["impl"] == impl)
    return [(row, best) for row in rows if row["impl"] != impl]


TIED = [Row("avx2", spread=0.001), Row("onednn", spread=0.001, library=True), Row("slow", efficiency=0.2)]


def test_tied_leaders_are_named_everywhere(tmp_path):
    scene = scene_of(write(tmp_path / "s", Recipe(rows=TIED)))
    text = " ".join(headline.of_view(scene))
    assert "Data gradient (dx): on 2 of 2 layers avx2 and onednn tie within 2 %." in text
    assert "is fastest" not in text
    for line in tables.winners(scene).rows:
        assert line[3].text in ("avx2 or onednn", "onednn or avx2")
        assert line[3].impl == ""
        assert line[6].text == "tie, within 2 %"
    (row, *_) = scene.winners.to_dict("records")
    assert layer_maps.winner_text(row).startswith("≈ ")
    other = scene_of(write(tmp_path / "other", Recipe(rows=TIED[:1])))
    match = comparison.Match("m", "m", {"one": scene, "two": other}, exact=True)
    assert comparison.winner_changes(match)["winners"][0]["one"] in ("avx2 or onednn", "onednn or avx2")


def test_several_groups_of_tied_leaders_are_counted_by_name(tmp_path):
    layers = [Layer(f"l{i}") for i in range(4)]
    slow = {(f"l{i}", "data", "c"): Row("c", efficiency=0.2) for i in range(3)}
    rows = [Row(name, spread=0.001) for name in "abc"]
    scene = scene_of(write(tmp_path / "s", Recipe(layers=layers, rows=rows, overrides=slow, passes=("data",))))
    text = " ".join(headline.of_view(scene))
    assert "on 4 of 4 layers the leaders tie within 2 % (among them a on 4, b on 4, c on 1)." in text


def advice(folder, rows, **others):
    return " ".join(headline.of_view(scene_of(write(folder, Recipe(rows=rows, **others)))))


def test_the_headline_begins_with_what_to_use(tmp_path):
    wins_one = {("conv1", "data", "b"): Row("b", efficiency=0.9)}
    rows = [Row("a", efficiency=0.5), Row("b", efficiency=0.4), Row("onednn", efficiency=0.3, library=True)]
    text = advice(tmp_path / "each", rows, overrides=wins_one)
    assert text.startswith("Use the best of each layer: the whole backward pass of synthetic then takes ")
    assert " times as fast as onednn (1.7" in text
    assert "As a single implementation use a: " in text
    assert "the next, b, takes 1.1" in text
    text = advice(tmp_path / "one", rows)
    assert text.startswith("Use a for every layer: ")
    assert "The next, b, takes 1.2" in text


def test_a_gain_below_two_percent_is_no_reason_to_choose_for_each_layer(tmp_path):
    hardly = {("conv1", "data", "b"): Row("b", efficiency=0.52, spread=0.001)}
    rows = [Row("a", efficiency=0.5, spread=0.001), Row("b", efficiency=0.4)]
    text = advice(tmp_path / "s", rows, overrides=hardly)
    assert text.startswith("Use a for every layer: ")
    assert "choosing for each layer gains less than 2 %" in text


def test_single_implementations_that_are_level_are_both_named(tmp_path):
    even = {("conv1", "data", "b"): Row("b", efficiency=0.62), ("conv1", "weights", "a"): Row("a", efficiency=0.62)}
    text = advice(tmp_path / "s", [Row("a"), Row("b"), Row("c", efficiency=0.2)], overrides=even)
    assert re.search("As single implementations (a and b|b and a) are level within 2 %", text)
    scattered = [Row("a", spread=0.2), Row("b", spread=0.2), Row("c", efficiency=0.1)]
    text = advice(tmp_path / "scattered", scattered, overrides=even)
    assert re.search("(a and b|b and a) cannot be told apart", text.partition("Data gradient")[0])
    same = advice(tmp_path / "same", [Row("a", spread=0.001), Row("b", spread=0.001), Row("c", efficiency=0.2)])
    assert re.match("Use (a or b|b or a) for every layer, which are level within 2 %: ", same)
    assert "single" not in same


RIVALS = [
    Row("ours", efficiency=0.5),
    Row("onednn", efficiency=0.3, library=True),
    Row("onednn_best", efficiency=0.4, library=True),
    Row("libxsmm", efficiency=0.45, library=True),
]


def test_totals_without_and_of_libraries_alone(tmp_path):
    ours_lose = {("conv1", "data", "ours"): Row("ours", efficiency=0.2)}
    scene = scene_of(write(tmp_path / "s", Recipe(rows=RIVALS, overrides=ours_lose)))
    totals = {total.name: total for total in scene.totals[True]}
    assert totals[answers.BEST_OWN].seconds.value == totals["ours"].seconds.value
    assert totals[answers.BEST_LIBRARY].seconds.value == totals["libxsmm"].seconds.value
    assert totals[answers.BEST].seconds.value < min(totals["ours"].seconds.value, totals["libxsmm"].seconds.value)
    assert "Without any of the 3 libraries, the best of each layer is " in " ".join(headline.of_view(scene))
    alone = scene_of(write(tmp_path / "alone", Recipe(rows=RIVALS[1:])))
    assert {answers.BEST_OWN, answers.BEST_LIBRARY}.isdisjoint(total.name for total in alone.totals[True])


def test_the_vendor_is_the_fastest_of_its_rows(tmp_path):
    scene = scene_of(write(tmp_path / "s", Recipe(rows=RIVALS)))
    against = {total.name: total.speedup for total in scene.totals[True]}
    assert against["ours"].value == pytest.approx(0.5 / 0.4, rel=0.02)
    assert against["onednn"].value == pytest.approx(0.3 / 0.4, rel=0.02)
    assert against["onednn_best"].lo == against["onednn_best"].hi == 1
    layers = scene.vendor.groupby("impl")["speedup"].mean()
    assert layers["ours"] == pytest.approx(0.5 / 0.4, rel=0.02)
    assert layers["onednn"] == pytest.approx(0.3 / 0.4, rel=0.02)
    assert "× onednn: the fastest of onednn and onednn_best on each layer." in tables.totals(scene).note


def test_the_network_table_counts_layers_and_has_intervals(tmp_path):
    absent = {("conv1", "data", "ours"): Row("ours", error="skip: no")}
    scene = scene_of(write(tmp_path / "s", Recipe(rows=RIVALS[:2], overrides=absent)))
    table = tables.totals(scene)
    lines = {row[0].text: dict(zip(table.columns, (cell.text for cell in row), strict=True)) for row in table.rows}
    assert lines["ours"]["layer passes"] == "3 of 4"
    assert lines["onednn"]["layer passes"] == "4 of 4"
    for column in ("backward time", "without first dx", "all dx", "all dw"):
        assert re.fullmatch(r"[\d.]+ ms \([\d.]+–[\d.]+\)", lines["onednn"][column]), column
    assert re.fullmatch(r"1\.\d+× \(1\.\d+–1\.\d+\) over 3 of 4", lines["ours"]["× onednn"])
    assert "over 4 layer passes, each as often as it occurs (8 executions)" in table.note


def test_a_few_short_rows_do_not_take_the_interval_away(tmp_path):
    rows = [Row("a", efficiency=0.5), Row("onednn", efficiency=0.4, library=True)]
    short = {("conv1", "data", "a"): Row("a", efficiency=0.5, rounds=3)}
    layers = [Layer("conv1"), *(Layer(f"l{i}") for i in range(4))]
    full, few = (
        scene_of(write(tmp_path / name, Recipe(rows=rows, layers=layers, overrides=overrides)))
        for name, overrides in (("full", {}), ("few", short))
    )
    sure, less_sure = (next(t for t in scene.totals[True] if t.name == "a").speedup for scene in (full, few))
    assert sure.has_interval
    assert less_sure.has_interval
    assert less_sure.hi / less_sure.lo > sure.hi / sure.lo
    assert less_sure.lo < 1.25 < less_sure.hi
    assert "no interval" not in headline.of_view(few)[0]
    none = scene_of(write(tmp_path / "none", Recipe(rows=rows, rounds=3)))
    assert not none.totals[True][0].seconds.has_interval
    assert "(no interval: too few rounds)" in headline.of_view(none)[0]


@pytest.mark.parametrize("rounds", [(2,), (3,) * 6, (5, 5, 3, 8, 8, 8), (3,) * 3 + (9,) * 20])
def test_interval_of_a_sum_with_short_rows_covers_it(rounds):
    rng = np.random.default_rng(11)
    covered, repeats = 0, 150
    for _ in range(repeats):
        usual = np.quantile([stats.scatter(np.exp(rng.normal(0, 0.05, 10))) for _ in range(20)], 0.75)
        cells = [np.exp(rng.normal(0, 0.05, n)) for n in rounds]
        draws = sum(
            stats.drawn_medians(cell, usual, i)
            if len(cell) < stats.MIN_ROUNDS
            else stats.resampled_medians([cell], i)[0]
            for i, cell in enumerate(cells)
        )
        estimate = stats.interval_of_draws(float(sum(np.median(cell) for cell in cells)), draws)
        covered += estimate.lo <= len(rounds) <= estimate.hi
    assert covered / repeats >= 0.93


def test_alternatives_in_words():
    assert words.one_of([]) == ""
    assert words.one_of(["a"]) == "a"
    assert words.one_of(["a", "b"]) == "a or b"
    assert words.one_of(["a", "b", "c"]) == "a, b or c"
    assert words.one_of(["a", "b", "c", "d", "e"]) == "a, b, c or 2 more"


def test_a_total_without_an_interval_is_not_level_with_the_first_past_one_that_is_behind():
    first, single, certain, once, wide = (SimpleNamespace(name=name) for name in ("a", "b", "c", "d", "e"))
    ratios = {"b": (1.1,), "c": (1.2, 1.1, 1.3), "d": (1.4,), "e": (1.4, 0.9, 1.9)}
    for total in (single, certain, once, wide):
        total.over = lambda _, of=ratios[total.name]: stats.Estimate(*of)
    level = headline._level([first, single, certain, once, wide])
    assert [total.name for total in level] == ["a", "b", "e"]
