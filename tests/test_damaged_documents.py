# SPDX-License-Identifier: Apache-2.0
"""Studies with damage that nobody thought of: refused in one line that names the file, or read and reported on."""

from __future__ import annotations

import copy
import json
import shutil
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from convbwd_study import documents, facts, headline, results, tables
from convbwd_study.analysis import Analysis
from convbwd_study.cell_document import read_cell
from convbwd_study.errors import BadDocument, StudyError
from convbwd_study.plan import Cell
from convbwd_study.report import census
from convbwd_study.scene import Scene
from convbwd_study.study import progress_of
from hypothesis import example, given, settings
from hypothesis import strategies as st

FIXTURE = Path(__file__).parent / "data" / "fixture_study"
FILES = sorted(FIXTURE.glob("**/*.json"))
CELL_FILES = [file for file in FILES if file.parent.name == "cells"]

numbers = st.one_of(st.integers(), st.floats(), st.sampled_from([0, -1, 1, 0.5, 1e308, -1e-320, 2**53 + 1, 10**400]))
texts = st.one_of(st.text(max_size=30), st.sampled_from(["", " ", "0", "-1", "1e999", "nan", "Infinity", "\x1b[2J\n"]))
values = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, texts),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=5,
)


@cache
def whole(file: Path) -> Any:
    return json.loads(file.read_text())


def places(value: Any) -> list[tuple[Any, ...]]:
    """The way from the root to everything inside `value`."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [way for key, item in inside for way in [(key,), *((key, *rest) for rest in places(item))]]


@st.composite
def damaged(draw: st.DrawFn, file: Path) -> Any:
    """The document of `file` with one to three things replaced, taken away, doubled, renamed or put elsewhere."""
    document = copy.deepcopy(whole(file))
    for _ in range(draw(st.integers(1, 3))):
        ways = places(document)
        if not ways:
            break
        *before, last = draw(st.sampled_from(ways))
        holder = document
        for step in before:
            holder = holder[step]
        what = draw(st.sampled_from(["replace", "replace", "remove", "double", "rename", "copy"]))
        if what == "remove":
            del holder[last]
        elif what == "double" and isinstance(holder, list):
            holder.insert(last, copy.deepcopy(holder[last]))
        elif what == "rename" and isinstance(holder, dict):
            holder[draw(texts)] = holder.pop(last)
        elif what == "copy":
            found = document
            for step in draw(st.sampled_from(ways)):
                found = found[step]
            holder[last] = copy.deepcopy(found)
        else:
            holder[last] = draw(values)
    return document


def assert_one_line(error: StudyError, folder: Path) -> None:
    message = str(error)
    assert message.startswith(str(folder)), message
    assert message.isprintable(), repr(message)
    assert len(message) < len(str(folder)) + 400


def all_that_is_said(folder: Path) -> None:
    """The report without its pictures."""
    study = results.load(folder)
    analysis = Analysis(study)
    scenes = [Scene(analysis, view) for view in analysis.views]
    assert headline.of_study(study, scenes)
    for scene in scenes:
        assert headline.of_view(scene)
        assert tables.totals(scene).rows
        assert tables.winners(scene).rows
        assert tables.everything(scene).rows
    assert census(analysis)
    tables.trouble(analysis)
    tables.results(analysis)
    facts.warnings(study)
    facts.machine(study)


def test_the_study_without_damage_is_reported_on() -> None:
    all_that_is_said(FIXTURE)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_damaged_study_is_refused_in_one_line_or_reported_on(data: st.DataObject) -> None:
    file = data.draw(st.sampled_from(FILES))
    with tempfile.TemporaryDirectory() as folder:
        study = Path(folder) / "study"
        shutil.copytree(FIXTURE, study)
        (study / file.relative_to(FIXTURE)).write_text(json.dumps(data.draw(damaged(file))))
        try:
            progress_of(study)
            all_that_is_said(study)
        except StudyError as error:
            assert_one_line(error, study)


def cell_of(file: Path) -> Cell:
    """What the manifest says about a document."""
    listed = next(cell for cell in whole(FIXTURE / "manifest.json")["cells"] if cell["key"] == file.stem)
    fields = {key: value for key, value in listed.items() if key != "pass"}
    return Cell(**fields, label=file.stem, source="", macs=0, pass_=listed["pass"])


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_damaged_cell_is_refused_in_one_line_or_taken(data: st.DataObject) -> None:
    file = data.draw(st.sampled_from(CELL_FILES))
    expected = frozenset({"naive", "onednn"})
    assert read_cell(file, cell_of(file), expected).timed
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / file.name
        written.write_text(json.dumps(data.draw(damaged(file))))
        try:
            document = read_cell(written, cell_of(file), expected)
        except BadDocument as error:
            assert_one_line(error, written)
        else:
            assert {title.partition(":")[0] for title in document.timed | document.errors.keys()} >= expected


@pytest.mark.parametrize("name", ["\x1b[2J\n", "x" * 5000])
def test_names_from_a_file_are_told_in_one_line(name: str, tmp_path: Path) -> None:
    file = tmp_path / "manifest.json"
    file.write_text(json.dumps({name: {name: {name: 1}}}))
    with pytest.raises(BadDocument) as caught:
        documents.read(file).object(name).object(name).text(name)
    assert_one_line(caught.value, file)


def test_a_listed_cell_cannot_be_any_file(tmp_path: Path) -> None:
    for key in ("../../secret", "x" * 300, ".hidden", "a/b", "a\0b"):
        (tmp_path / "manifest.json").write_text(json.dumps({"schema": 1, "cells": [{"key": key}]}))
        with pytest.raises(BadDocument) as caught:
            progress_of(tmp_path)
        assert_one_line(caught.value, tmp_path)


@settings(deadline=None)
@given(st.one_of(st.binary(), values.map(lambda value: json.dumps(value).encode())))
@example(b"[" * 100_000)
@example(b'{"a": ' * 100_000)
@example(b'{"a": ' + b"9" * 5000 + b"}")
@example(b"\xff\xfe{}")
@example(b'{"a": NaN}')
def test_any_bytes_are_an_object_or_refused_in_one_line(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "document.json"
        file.write_bytes(content)
        try:
            document = documents.read(file)
        except BadDocument as error:
            assert_one_line(error, file)
        else:
            for key in document.values:
                for getter in (document.text, document.name, document.number, document.whole, document.flag):
                    with suppress(BadDocument):
                        getter(key)
