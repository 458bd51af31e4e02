# SPDX-License-Identifier: Apache-2.0
"""report, compare and publish as they are typed: studies by path and by bare name."""

from pathlib import Path

import pytest
from convbwd_study import cli, publish
from synthetic import Layer, Recipe, write
from typer.testing import CliRunner

RECIPE = Recipe(layers=[Layer("l")], passes=("data",))


@pytest.fixture
def homes(monkeypatch, tmp_path):
    """`mine` among the studies, `kept` among the published ones, and a working directory that holds neither."""
    for attribute, home in (("STUDIES", "studies"), ("PUBLISHED", "published")):
        monkeypatch.setattr(cli, attribute, tmp_path / home)
    write(tmp_path / "studies" / "mine", RECIPE)
    write(tmp_path / "published" / "kept", RECIPE)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path


def run(*arguments: str | Path):
    result = CliRunner().invoke(cli.app, [str(argument) for argument in arguments])
    return result.exit_code, result.output.splitlines()


@pytest.mark.parametrize("place", ["studies/mine", "published/kept"])
def test_a_study_is_found_by_its_bare_name_and_by_its_path(homes, place):
    for named in (Path(place).name, homes / place):
        code, lines = run("report", named)
        assert code == 0
        assert lines[-1] == str(homes / place / "report.html")
        (homes / place / "report.html").unlink()


def test_a_study_that_lies_here_comes_before_one_of_that_name_elsewhere(homes):
    write(homes / "here" / "mine", RECIPE)
    assert run("report", "mine") == (0, [*run("report", homes / "studies" / "mine")[1][:-1], "mine/report.html"])


def test_a_folder_that_is_no_study_does_not_hide_one(homes):
    (homes / "here" / "mine").mkdir()
    assert run("report", "mine")[1][-1] == str(homes / "studies" / "mine" / "report.html")


def test_studies_are_compared_by_name(homes):
    code, lines = run("compare", "mine", "kept", "--out", homes / "page.html")
    assert code == 0
    assert lines[-1] == str(homes / "page.html")


def test_a_study_is_published_by_name(homes, monkeypatch):
    seen = []
    monkeypatch.setattr(publish, "publish", lambda *given: seen.append(given) or "where")
    assert run("publish", "mine", "--as", "it") == (0, ["where"])
    assert seen == [(homes / "studies" / "mine", "it")]


@pytest.mark.parametrize(
    ("named", "complaint"),
    [
        ("other", "other: neither a folder nor the name of a study; `scripts/study list` shows them"),
        ("../studies", "../studies: not a study: it has no manifest.json, but holds mine"),
        ("nowhere/mine", "nowhere/mine: no such folder"),
        ("", ".: not a study: it has no manifest.json"),
    ],
)
def test_what_is_no_study_is_refused_in_one_line(homes, named, complaint):
    for arguments in (["report", named], ["compare", named, "mine"], ["publish", named, "--as", "x"]):
        assert run(*arguments) == (2, [f"scripts/study: {complaint}"])
    assert not list((homes / "here").iterdir())
