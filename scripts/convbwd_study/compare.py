# SPDX-License-Identifier: Apache-2.0
"""Several studies on one page: machines, compilers or versions side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from convbwd_study import compare_charts, comparison, headline, page, results, words
from convbwd_study.analysis import Analysis
from convbwd_study.errors import NothingMatched, UsageError
from convbwd_study.report import ReportResult
from convbwd_study.scene import TROUBLE
from convbwd_study.stats import Estimate
from convbwd_study.tables import SHORT, Cell, Table

if TYPE_CHECKING:
    from pathlib import Path

    from convbwd_study.comparison import Match
    from convbwd_study.results import Study


def write_comparison(study_dirs: list[Path], out: Path) -> ReportResult:
    """Writes the page `out` and its numbers beside it as CSV. Raises StudyError where nothing can be compared."""
    if len(study_dirs) < 2:
        raise UsageError("a comparison needs at least two studies")
    loaded = [results.load(folder) for folder in study_dirs]
    names = comparison.labels(loaded)
    studies: dict[str, Study] = dict(zip(names, loaded, strict=True))
    analyses = {label: Analysis(study) for label, study in studies.items()}
    found = comparison.matches(analyses)
    implementations = list(dict.fromkeys(name for analysis in analyses.values() for name in analysis.implementations))

    sections: list[dict[str, Any]] = []
    numbers = []
    for match in found:
        joined = comparison.side_by_side(match)
        numbers.append(joined.assign(table=match.title))
        sections.append(_section(match, joined, implementations))
    table = pd.concat(numbers, ignore_index=True)
    if table.empty:
        raise NothingMatched("the studies have no layer and implementation in common")
    differing, same = comparison.differences(studies)
    text = " ".join(
        [f"{words.enumerated(names)}.", *(sentence for section in sections for sentence in section["sentences"])]
    )
    html = page.render(
        "compare.html.j2",
        implementations,
        title="Comparison: " + ", ".join(names),
        studies=[
            {"label": label, "cpu": headline.cpu_of(study), "folder": study.folder.name}
            for label, study in studies.items()
        ],
        warnings=comparison.warnings(analyses, found),
        sections=sections,
        differences=Table(
            "What differs", ["fact", *names], [[Cell(name), *map(Cell, values)] for name, values in differing]
        ),
        same=same,
    )
    if out.is_dir():
        out = out / "compare.html"
    page.write_table(out.with_suffix(".csv"), _numbers(table))
    page.write_text(out, html)
    return ReportResult(text, out)


def _numbers(table: pd.DataFrame) -> pd.DataFrame:
    columns = [
        "table",
        "study",
        "workload",
        "layer",
        "problem",
        "pass",
        "threads",
        "layout",
        "cache",
        "batch",
        "impl",
        "isa",
    ]
    measured = [
        "status",
        "reason",
        "seconds",
        "seconds_lo",
        "seconds_hi",
        "n",
        "gflops",
        "peak_gflops",
        "peak_fraction",
    ]
    return table[[*columns, *measured, "ratio", "ratio_lo", "ratio_hi", "verdict"]]


def _section(match: Match, joined: pd.DataFrame, implementations: list[str]) -> dict[str, Any]:
    changes = comparison.winner_changes(match)
    figures = [compare_charts.network(match)]
    if joined["ratio"].notna().any():
        figures.append(compare_charts.ratio_map(match, joined, implementations))
    if joined["peak_fraction"].notna().any():
        figures.append(compare_charts.own_peak(match, joined, implementations))
    return {
        "title": match.title,
        "slug": match.slug,
        "sentences": _sentences(match, changes),
        "figures": [(f"{match.slug}-{figure.slug}", figure) for figure in figures],
        "changes": _changes_table(match, changes),
        "regret": _regret_table(match),
        "rows": _rows_table(match, joined),
    }


def _sentences(match: Match, changes: pd.DataFrame) -> list[str]:
    counts = changes["change"].value_counts()
    total = len(changes)
    sentences = []
    if total:
        passes = words.counted(total, "layer pass", "layer passes")
        text = f"The fastest implementation changes on {counts.get('yes', 0)} of {passes}"
        if unsettled := counts.get("unsettled", 0):
            text += f"; on {unsettled} more the leaders differ but are too close to tell"
        sentences.append(text + ".")
    parts = []
    for label, scene in match.scenes.items():
        best = comparison.best_total(scene)
        if best and best.seconds.value > 0:
            gap = f" (+ {best.missing} missing)" if best.missing else ""
            parts.append(f"{label} {words.duration_with_interval(best.seconds)}{gap}")
    if parts:
        sentences.append(f"Whole backward pass with the best of each layer: {'; '.join(parts)}.")
    lost = comparison.regret(match)
    if len(lost):
        worst = lost.loc[lost["loss"].idxmax()]
        sentences.append(
            f"Choosing each layer's winner on {worst['chosen_on']} and running it on {worst['run_on']} costs "
            f"{words.percent(worst['loss'])}."
        )
    return sentences


def _changes_table(match: Match, changes: pd.DataFrame) -> Table:
    rows = [
        [
            Cell(row["layer"], float(i)),
            Cell(SHORT[row["pass"]]),
            Cell({"yes": "changes", "unsettled": "too close to tell"}[row["change"]]),
        ]
        + [Cell(row["winners"][label] or words.NONE, impl=row["winners"][label]) for label in match.scenes]
        for i, row in enumerate(changes[changes["change"] != "no"].to_dict("records"))
    ]
    same = int((changes["change"] == "no").sum())
    note = (
        "Changes: the implementations that may be the fastest (winner and those tied with it) have nothing in common. "
        f"Not listed: those with the same one first, {same} of {len(changes)}."
    )
    return Table("Where the winner changes", ["layer", "pass", "winner", *match.scenes], rows, note)


def _regret_table(match: Match) -> Table:
    rows = [
        [
            Cell(row["chosen_on"]),
            Cell(row["run_on"]),
            Cell(words.percent(row["loss"]), row["loss"]),
            Cell(str(row["layer_passes"]), row["layer_passes"]),
        ]
        for row in comparison.regret(match).to_dict("records")
    ]
    note = "Total time with the winners chosen on one machine, run on another, over that with the other's own winners."
    return Table("Does a choice carry over?", ["chosen on", "run on", "time lost", "layer passes"], rows, note)


def _rows_table(match: Match, joined: pd.DataFrame) -> Table:
    columns = ["layer", "pass", "implementation"]
    for index, label in enumerate(match.scenes):
        columns += [f"{label}: time", "of its peak", *(["times faster"] if index else [])]
    rows = []
    for i, ((layer, pass_, impl), group) in enumerate(joined.groupby(["layer", "pass", "impl"], sort=False)):
        by_study = {row["study"]: row for row in group.to_dict("records")}
        cells = [Cell(layer, float(i)), Cell(SHORT[pass_]), Cell(impl, impl, impl=impl)]
        for index, label in enumerate(match.scenes):
            row = by_study.get(label)
            if row is None:
                cells += [Cell(words.NONE)] * (3 if index else 2)
                continue
            reason = f"{TROUBLE.get(row['status'], '')} {row['status']}" if row["status"] in TROUBLE else ""
            once = " (n = 1)" if row["status"] == "once" else ""
            cells.append(
                Cell(
                    reason or words.duration(row["seconds"]) + once,
                    float(row["seconds"]) if not reason else float("inf"),
                )
            )
            cells.append(Cell(words.percent(row["peak_fraction"]), float(np.nan_to_num(row["peak_fraction"]))))
            if index:
                ratio = words.times_with_interval(Estimate(row["ratio"], row["ratio_lo"], row["ratio_hi"]))
                cells.append(Cell(ratio, float(np.nan_to_num(row["ratio"]))))
        rows.append(cells)
    return Table(
        "Every layer and implementation",
        columns,
        rows,
        "Times faster: than in the first study; over 1 means less time. Without an interval: too few rounds, or noisy.",
    )
