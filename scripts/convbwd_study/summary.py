# SPDX-License-Identifier: Apache-2.0
"""The report in Markdown: headline, pictures, totals, winners, trouble and machine, for readers of a repository."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convbwd_study import facts, headline
from convbwd_study.words import markdown as plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convbwd_study.report import ViewPage
    from convbwd_study.results import Study
    from convbwd_study.scene import Figure
    from convbwd_study.tables import Table


def table(data: Table) -> list[str]:
    """As lines of a Markdown table; numbers are right-aligned."""
    numeric = [all(row[i].number for row in data.rows) and i > 0 for i in range(len(data.columns))]
    lines = [
        "| " + " | ".join(map(plain, data.columns)) + " |",
        "|" + "|".join("--:" if right else "---" for right in numeric) + "|",
    ]
    return lines + ["| " + " | ".join(plain(cell.text) for cell in row) + " |" for row in data.rows]


def markdown(
    study: Study,
    views: Sequence[ViewPage],
    overview: Sequence[tuple[str, Figure]],
    trouble: Sequence[Table],
    census: str,
) -> str:
    lines = [f"# {plain(headline.cpu_of(study))}: {plain(study.name)}", ""]
    for warning in facts.warnings(study):
        lines += [f"> {plain(warning)}", ""]
    for view in views:
        lines += [f"## {plain(view.title)}", ""]
        for sentence in view.sentences:
            lines += [plain(sentence), ""]
        for name, figure in view.figures:
            lines += [f"### {plain(figure.title)}", "", f"![{plain(figure.title)}](figures/{name}.svg)", ""]
            lines += [plain(figure.caption), f"([data](figures/{name}.csv))", ""]
            if figure.slug == "network":
                lines += [*table(view.totals), "", plain(view.totals.note), ""]
            if figure.slug == "winners":
                lines += [*table(view.winners), "", plain(view.winners.note), ""]
    for name, figure in overview:
        lines += [
            f"## {plain(figure.title)}",
            "",
            f"![{plain(figure.title)}](figures/{name}.svg)",
            "",
            plain(figure.caption),
            "",
        ]
    lines += ["## What has no time, or a doubtful one", "", plain(census), ""]
    for data in trouble:
        lines += [f"### {plain(data.title)}", "", *table(data), ""]
    lines += ["## Machine, build and conditions", "", "| | |", "|---|---|"]
    for group in facts.machine(study).values():
        lines += [
            f"| {plain(fact.name)} | {plain(fact.value)}{' (differs between cells)' if fact.varies else ''} |"
            for fact in group
        ]
    lines += ["", "All numbers: [results.csv](results.csv), with the command that measures each row again.", ""]
    return "\n".join(lines)
