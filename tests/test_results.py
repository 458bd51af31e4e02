# SPDX-License-Identifier: Apache-2.0
"""What is read from a study, and that damage is refused with the file and the field."""

import json
from pathlib import Path

import pytest
from convbwd_study import answers, documents, results, tables
from convbwd_study.analysis import Analysis
from convbwd_study.errors import BadDocument, NothingMatched, StudyError, UsageError
from synthetic import Layer, Recipe, Row, write

FIXTURE = Path(__file__).parent / "data" / "fixture_study"


@pytest.fixture
def study(tmp_path):
    return write(tmp_path / "study", Recipe())


def edit(study, change, file="cells/cell0000.json"):
    path = study / file
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    return path


def test_tables_of_a_study(study):
    loaded = results.load(study)
    assert len(loaded.cells) == 4
    assert len(loaded.rows) == 12
    assert len(loaded.samples) == 120
    assert set(loaded.rows["status"]) == {"timed"}
    assert loaded.cells["peak_gflops"].tolist() == [100] * 4
    assert loaded.missing.empty
    assert loaded.caches == "L1 32 KiB"


def test_the_committed_study_is_read():
    loaded = results.load(FIXTURE)
    assert set(loaded.rows["status"]) >= {"timed", "once", "skipped"}
    assert (loaded.cells["noisy"] != "").any()
    assert set(loaded.rows["impl"]) >= {"naive", "avx2", "winograd_f2", "onednn"}
    assert answers.totals(Analysis(loaded), Analysis(loaded).views[0])


def test_stages_errors_and_older_documents_without_them(tmp_path):
    rows = [Row("naive", "baseline", 0.02), Row("winograd_f4", stages={"<b>products": 2.0, "inverse transform": 1.0})]
    loaded = results.load(write(tmp_path / "study", Recipe(rows=rows)))
    found = loaded.rows[loaded.rows["impl"] == "winograd_f4"]
    assert set(found["stages"]) == {(("<b>products", 2e-3), ("inverse transform", 1e-3))}
    assert (found["error_rms"] < found["error_bound"]).all()
    table = tables.results(Analysis(loaded))
    assert set(table[table["impl"] == "winograd_f4"]["stages"]) == {"<b>products: 2.00 ms, inverse transform: 1.00 ms"}
    assert set(table[table["impl"] == "naive"]["stages"]) == {""}
    older = results.load(FIXTURE).rows
    assert older["error_rms"].isna().all()


def entry(document, index=0):
    return document["benchmarks"][index]


DAMAGE = {
    "has Infinity, which is not JSON": lambda d: entry(d).update(real_time=1e999),
    "has NaN, which is not JSON": lambda d: entry(d).update(gflops=float("nan")),
    "real_time: expected a finite number": lambda d: entry(d).update(real_time="1e999"),
    "real_time: expected at least 0": lambda d: entry(d).update(real_time=-1.0),
    "real_time: expected more than 0": lambda d: entry(d).update(real_time=0.0),
    "real_time: expected a number": lambda d: entry(d).update(real_time=None),
    "real_time: missing": lambda d: entry(d).pop("real_time"),
    "error_rms: expected at least 0": lambda d: entry(d).update(error_rms=-1e-9),
    "error_bound: expected a finite number": lambda d: entry(d).update(error_bound="inf"),
    "stage:products: expected a number": lambda d: entry(d).update({"stage:products": "fast"}),
    "stage: : expected a name": lambda d: entry(d).update({"stage: ": 1.0}),
    "has more than 16 stages": lambda d: entry(d).update({f"stage:{i}": 1.0 for i in range(17)}),
    "time_unit: expected one of": lambda d: entry(d).update(time_unit="fortnights"),
    "name: missing": lambda d: entry(d).pop("name"),
    "name: expected data/synthetic": lambda d: entry(d).update(
        name="data/other:conv1/naive:baseline/native/warm/threads:1"
    ),
    "name: its third segment": lambda d: entry(d).update(name="data/synthetic:conv1/naive/native/warm/threads:1"),
    "round: naive:baseline has round 1 twice": lambda d: entry(d).update(round=1),
    "round: expected a whole number": lambda d: entry(d).update(round=0.5),
    "error_ratio: expected at least 0": lambda d: entry(d).update(error_ratio=-1),
    "error_message: expected it to begin with": lambda d: entry(d).update(error_occurred=True, error_message="hm"),
    "error_occurred: expected true or false": lambda d: entry(d).update(error_occurred="yes"),
    "label: expected text": lambda d: entry(d).update(label=["x"]),
    "label: longer than": lambda d: entry(d).update(label="x" * 5000),
    "label: has control characters": lambda d: entry(d).update(label="\x1b[2J"),
    "benchmarks: expected a list": lambda d: d.update(benchmarks={}),
    "benchmarks[0]: expected an object": lambda d: d.update(benchmarks=[1]),
    "benchmarks: missing": lambda d: d.pop("benchmarks"),
    "context: missing": lambda d: d.pop("context"),
    "context.convbwd_schema: this program reads": lambda d: d["context"].update(convbwd_schema="2"),
    "context.pass: expected one of": lambda d: d["context"].update({"pass": "sideways"}),
    "context.threads: expected at least 1": lambda d: d["context"].update(threads="0"),
    "context.macs: expected a number": lambda d: d["context"].update(macs="many"),
    "context.fma_peak_gflops_before: missing": lambda d: d["context"].pop("fma_peak_gflops_before"),
    "context.layer: expected a name": lambda d: d["context"].update(layer=" "),
    "context.caches: expected a list": lambda d: d["context"].update(caches="L1"),
}


@pytest.mark.parametrize("complaint", DAMAGE)
def test_damage_is_refused_by_file_and_field(study, complaint):
    path = edit(study, DAMAGE[complaint])
    with pytest.raises(BadDocument) as refusal:
        results.load(study)
    assert complaint in str(refusal.value)
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"\xff\xfe", b"NaN", b'{"a": NaN}', b'{"a": -Infinity}', b"[" * 100_000, b"1" * 5000]
)
def test_what_is_not_a_json_object_is_refused(study, content):
    (study / "cells" / "cell0000.json").write_bytes(content)
    with pytest.raises(BadDocument, match="cell0000"):
        results.load(study)


def test_files_too_large_are_not_read(study):
    with (study / "cells" / "cell0000.json").open("ab") as file:
        file.truncate(documents.MAX_BYTES + 1)
    with pytest.raises(BadDocument, match="more than"):
        results.load(study)


MANIFEST_DAMAGE = {
    "schema: this program reads schema 1": lambda m: m.update(schema=2),
    "cells: missing": lambda m: m.pop("cells"),
    "cells[0].key: expected letters": lambda m: m["cells"][0].update(key="../../etc/passwd"),
    "cells[1].threads: missing": lambda m: m["cells"][1].pop("threads"),
    "workloads.synthetic.layers: missing": lambda m: m["workloads"]["synthetic"].pop("layers"),
}


@pytest.mark.parametrize("complaint", MANIFEST_DAMAGE)
def test_damaged_manifests_are_refused(study, complaint):
    edit(study, MANIFEST_DAMAGE[complaint], "manifest.json")
    with pytest.raises(BadDocument) as refusal:
        results.load(study)
    assert complaint in str(refusal.value)


def test_what_is_no_study(tmp_path):
    with pytest.raises(UsageError, match=r"manifest\.json"):
        results.load(tmp_path)
    empty = write(tmp_path / "empty", Recipe(drop=4))
    with pytest.raises(NothingMatched, match="no cell has been measured"):
        results.load(empty)


def test_unknown_keys_and_aggregates_are_ignored(study):
    def change(document):
        document["context"]["new_fact"] = {"a": 1}
        document["benchmarks"].append({"name": "x", "run_type": "aggregate", "real_time": 1})
        entry(document)["new_counter"] = 3

    edit(study, change)
    assert len(results.load(study).samples) == 120


def test_missing_cells_are_counted_and_never_summed_silently(tmp_path):
    study = results.load(write(tmp_path / "s", Recipe(drop=1)))
    analysis = Analysis(study)
    assert len(study.missing) == 1
    for total in answers.totals(analysis, analysis.views[0]):
        assert total.missing == 1


def test_a_document_under_the_name_of_another_cell_is_refused(study):
    (study / "cells/cell0001.json").write_bytes((study / "cells/cell0000.json").read_bytes())
    with pytest.raises(BadDocument, match=r"cell0001.json: context.pass: .*another cell"):
        results.load(study)


def test_documents_of_an_earlier_build_give_way(study):
    old = json.loads((study / "cells" / "cell0000.json").read_text())
    for one in old["benchmarks"]:
        one["real_time"] *= 100
    (study / "cells" / "older.json").write_text(json.dumps(old))
    loaded = results.load(study)
    assert loaded.stale == 1
    assert "older" not in set(loaded.cells["key"])


def test_single_rounds_and_errors_have_a_status(tmp_path):
    rows = [
        Row("a", rounds=1),
        Row("b", error="skip: only 3x3"),
        Row("c", error="wrong: dx[0] is 1, not 2"),
        Row("d", error="failed: crashed (SIGSEGV) while proving"),
    ]
    loaded = results.load(write(tmp_path / "s", Recipe(layers=[Layer("l")], rows=rows, passes=("data",))))
    assert loaded.rows["status"].tolist() == ["once", "skipped", "wrong", "failed"]
    assert loaded.rows["reason"].tolist() == ["", "only 3x3", "dx[0] is 1, not 2", "crashed (SIGSEGV) while proving"]


def test_libraries_are_told_from_our_own(tmp_path):
    rows = [Row("mine"), Row("theirs", library=True), Row("onednn"), Row("refused", error="skip: no")]
    folder = write(tmp_path / "s", Recipe(rows=rows, passes=("data",)))
    assert results.load(folder).libraries == {"theirs"}

    def forget(document):
        for one in document["benchmarks"]:
            one.pop("library", None)

    for file in ("cell0000", "cell0001"):
        edit(folder, forget, f"cells/{file}.json")
    assert results.load(folder).libraries == {"onednn"}
    assert results.load(FIXTURE).libraries >= {"onednn"}


def test_refusals_are_errors_of_usage():
    assert issubclass(BadDocument, StudyError)
    assert BadDocument.exit_code == 2
