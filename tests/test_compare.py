# SPDX-License-Identifier: Apache-2.0
"""Several studies side by side."""

from pathlib import Path

import pandas as pd
import pytest
from convbwd_study import comparison, results
from convbwd_study.analysis import Analysis
from convbwd_study.compare import write_comparison
from convbwd_study.errors import NothingMatched, UsageError
from hostile import HOSTILE, hostile_recipe
from synthetic import Layer, Recipe, Row, write

FIXTURE = Path(__file__).parent / "data" / "fixture_study"
ROWS = [Row("a", efficiency=0.5), Row("b", efficiency=0.4), Row("onednn", efficiency=0.3)]
OTHER = {"cpu_model": "Other CPU 9", "compiler": "clang++ 14"}


def analyses_of(*folders):
    studies = [results.load(folder) for folder in folders]
    return dict(zip(comparison.labels(studies), map(Analysis, studies), strict=True))


@pytest.fixture
def pair(tmp_path):
    """The second machine runs `a` at half the speed, so `b` wins there."""
    slower = [Row("a", efficiency=0.25), *ROWS[1:]]
    return [
        write(tmp_path / "one", Recipe(rows=ROWS, name="one")),
        write(tmp_path / "two", Recipe(rows=slower, name="two", machine=OTHER, seed=2)),
    ]


def test_a_page_and_its_numbers(pair, tmp_path):
    result = write_comparison(pair, tmp_path / "out.html")
    assert result.path == tmp_path / "out.html"
    assert result.headline.startswith("one and two. The fastest implementation changes on 4 of 4 layer passes.")
    page = result.path.read_text()
    assert "Not listed: those with the same one first, 0 of 4." in page
    assert "Other CPU 9" in page
    assert "clang++ 14" in page
    numbers = pd.read_csv(tmp_path / "out.csv")
    assert len(numbers) == 2 * 12
    assert set(numbers["study"]) == {"one", "two"}


def test_ratios_winners_and_regret(pair):
    (match,) = comparison.matches(analyses_of(*pair))
    table = comparison.side_by_side(match)
    second = table[table["study"] == "two"]
    assert second[second["impl"] == "a"]["ratio"].tolist() == pytest.approx([0.5] * 4, rel=0.1)
    assert set(second[second["impl"] == "a"]["verdict"]) == {"slower"}
    assert second[second["impl"] == "b"]["ratio"].tolist() == pytest.approx([1] * 4, rel=0.2)
    changes = comparison.winner_changes(match)
    assert set(changes["change"]) == {"yes"}
    assert changes["winners"].tolist() == [{"one": "a", "two": "b"}] * 4
    loss = comparison.regret(match).set_index(["chosen_on", "run_on"])["loss"]
    assert loss["one", "two"] == pytest.approx(0.6, rel=0.1)
    assert loss["two", "one"] == pytest.approx(0.25, rel=0.15)


def test_the_same_study_twice_changes_nothing(tmp_path):
    (match,) = comparison.matches(analyses_of(FIXTURE, FIXTURE))
    assert set(comparison.winner_changes(match)["change"]) == {"no"}
    ratios = comparison.side_by_side(match)["ratio"].dropna()
    assert (ratios == 1).all()
    assert comparison.regret(match)["loss"].tolist() == [0, 0]
    result = write_comparison([FIXTURE, FIXTURE], tmp_path / "out.html")
    assert "changes on 0 of 4 layer passes" in result.headline
    assert "Not listed: those with the same one first, 4 of 4." in result.path.read_text()


@pytest.mark.parametrize("disturbed", ["one", "two"])
def test_noisy_cells_are_compared_without_certainty(tmp_path, disturbed):
    halves = {"one": ROWS, "two": [Row("a", efficiency=0.25), *ROWS[1:]]}
    noisy = {name: {"noisy": "the bandwidth fell" if name == disturbed else ""} for name in halves}
    folders = [write(tmp_path / name, Recipe(rows=rows, machine=noisy[name])) for name, rows in halves.items()]
    (match,) = comparison.matches(analyses_of(*folders))
    table = comparison.side_by_side(match)
    compared = table[table["ratio"].notna()]
    assert set(compared["verdict"]) == {"not enough data"}
    assert compared[["ratio_lo", "ratio_hi"]].isna().all(axis=None)


def test_facts_that_differ(pair):
    studies = {label: analysis.study for label, analysis in analyses_of(*pair).items()}
    differing, same = comparison.differences(studies)
    named = dict(differing)
    assert named["model"] == ["Imaginary CPU 3000 @ 2.50GHz", "Other CPU 9"]
    assert named["compiler"] == ["g++ 12.2.0", "clang++ 14"]
    assert "kernel" in same


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"threads": (2,)}, "numbers of threads"),
        ({"layouts": ("nchw",)}, "layouts"),
        ({"caches": ("cold",)}, "cache states"),
        ({"batch": 4}, "batch sizes"),
        ({"workload": "other"}, "workloads"),
    ],
)
def test_what_cannot_be_compared_is_said(tmp_path, change, word):
    one = write(tmp_path / "one", Recipe(rows=ROWS, name="one"))
    two = write(tmp_path / "two", Recipe(rows=ROWS, name="two", **change))
    analyses = analyses_of(one, two)
    matches = comparison.matches(analyses)
    texts = " ".join(comparison.warnings(analyses, matches))
    assert f"Different {word}" in texts
    assert "No conditions are the same" in texts
    assert not matches[0].exact


def test_shared_conditions_are_compared_and_the_others_left_out(tmp_path):
    one = write(tmp_path / "one", Recipe(rows=ROWS, threads=(1, 2), name="one"))
    two = write(tmp_path / "two", Recipe(rows=ROWS, threads=(2, 4), name="two"))
    (match,) = comparison.matches(analyses_of(one, two))
    assert match.exact
    assert match.scenes["one"].view.threads == 2


def test_layers_that_only_share_a_name_are_left_out(tmp_path):
    one = write(tmp_path / "one", Recipe(rows=ROWS, name="one"))
    changed = [Layer("conv1", problem="mb8ic1ih1oc1kh1"), Layer("conv2", count=3)]
    two = write(tmp_path / "two", Recipe(rows=ROWS, name="two", layers=changed))
    analyses = analyses_of(one, two)
    matches = comparison.matches(analyses)
    assert set(comparison.side_by_side(matches[0])["layer"]) == {"conv2"}
    assert "different problems and left out: conv1" in " ".join(comparison.warnings(analyses, matches))


def test_three_studies_and_equal_names(tmp_path):
    folders = [
        write(tmp_path / str(i), Recipe(rows=ROWS, seed=i, layers=[Layer("l")], passes=("data",))) for i in range(3)
    ]
    names = list(analyses_of(*folders))
    assert len(set(names)) == 3
    assert write_comparison(folders, tmp_path / "out.html").path.stat().st_size > 500_000


def test_hostile_names_stay_text(tmp_path):
    one = write(tmp_path / "one", hostile_recipe())
    two = write(tmp_path / "two", hostile_recipe(seed=2))
    page = write_comparison([one, two], tmp_path / "out.html").path.read_text()
    assert HOSTILE not in page
    assert page.count("<script>") == 2


def test_refusals(tmp_path, pair):
    with pytest.raises(UsageError, match="at least two"):
        write_comparison(pair[:1], tmp_path / "out.html")
    with pytest.raises(UsageError, match=r"manifest\.json"):
        write_comparison([pair[0], tmp_path], tmp_path / "out.html")
    disjoint = write(tmp_path / "three", Recipe(rows=[Row("z")], name="three"))
    with pytest.raises(NothingMatched, match="in common"):
        write_comparison([pair[0], disjoint], tmp_path / "out.html")
