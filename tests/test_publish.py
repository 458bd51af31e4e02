# SPDX-License-Identifier: Apache-2.0
"""Published studies: what they keep, what they must not tell, and the README's table."""

import json
import re
from pathlib import Path

import pytest
from convbwd_study import publish, results
from convbwd_study.errors import BadDocument, UsageError
from synthetic import Recipe, write

FIXTURE = Path(__file__).parent / "data" / "fixture_study"


def test_published_studies_tell_nothing_of_host_and_user(tmp_path):
    folder = write(
        tmp_path / "study", Recipe(machine={"host_name": "secret-host", "executable": "/home/bob/x/convbwd_bench"})
    )
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["options"] = {"out": "/home/bob/out", "workloads": ["/home/bob/nets/mine.txt"], "user": "bob"}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    target = publish.publish(folder, "default", tmp_path / "published")
    assert target.name == "imaginary-3000-default"
    for path in target.rglob("*"):
        if path.is_file():
            assert not re.search(r"bob|secret-host|/home", path.read_text()), path
    assert json.loads((target / "manifest.json").read_text())["options"]["workloads"] == ["mine.txt"]
    assert sorted(path.name for path in target.iterdir()) == [
        "cells",
        "figures",
        "manifest.json",
        "results.csv",
        "summary.md",
    ]
    assert publish.publish(folder, "default", tmp_path / "published") == target
    assert results.load(target).samples["seconds"].tolist() == results.load(folder).samples["seconds"].tolist()


def test_flags_and_names_survive_publishing():
    text = "-O3 -mavx2 -I/usr/include/x data/resnet50:conv1/avx2:avx2/native https://example.org/a/b 25/17/1"
    assert publish.scrubbed({"a": text})["a"] == text.replace("/usr/include/x", "x")


def test_incomplete_studies_are_not_published(tmp_path):
    folder = write(tmp_path / "study", Recipe(drop=1))
    with pytest.raises(UsageError, match="Only whole studies"):
        publish.publish(folder, "x", tmp_path / "published")


def test_the_readme_table_is_written_between_its_markers(tmp_path):
    folder = publish.publish(FIXTURE, "fixture", tmp_path / "reports" / "published")
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{publish.BEGIN}\nold\n{publish.END}\nafter\n")
    publish.update_readme(readme, folder)
    text = readme.read_text()
    assert text.startswith(f"before\n{publish.BEGIN}\n**")
    assert text.endswith(f"\n{publish.END}\nafter\n")
    assert "old" not in text.split(publish.END)[0].split("\n")
    assert f"](reports/published/{folder.name}/summary.md)" in text
    assert "| onednn |" in text
    publish.update_readme(readme, folder)
    assert readme.read_text() == text


@pytest.mark.parametrize("text", ["", publish.BEGIN, f"{publish.END} {publish.BEGIN}", publish.BEGIN * 2 + publish.END])
def test_readmes_without_the_markers_are_refused(tmp_path, text):
    readme = tmp_path / "README.md"
    readme.write_text(text)
    with pytest.raises(BadDocument, match="markers"):
        publish.update_readme(readme, FIXTURE)
    assert readme.read_text() == text
