# SPDX-License-Identifier: Apache-2.0
"""The report in Markdown: headline, pictures, totals, winners, trouble and machine, for readers of a repository."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convbwd_study.words import markdown as plain

if TYPE_CHECKING:
    from convbwd_study.report import Content
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


def markdown(report: Content) -> str:
    lines = [f"# {plain(report.cpu)}: {plain(report.study.name)}", ""]
    for warning in report.warnings:
        lines += [f"> {plain(warning)}", ""]
    for data in report.side_by_side:
        lines += _part(data, "##")
    for view in report.views:
        lines += [f"## {plain(view.title)}", ""]
        for sentence in view.sentences:
            lines += [plain(sentence), ""]
        for name, figure in view.figures:
            lines += _picture(name, figure, "###")
            if figure.slug == "network":
                lines += [*table(view.totals), "", plain(view.totals.note), ""]
            if figure.slug == "winners":
                lines += [*table(view.winners), "", plain(view.winners.note), ""]
                for data in view.against_libraries:
                    lines += _part(data, "###")
    for name, figure in report.overview:
        lines += _picture(name, figure, "##")
    lines += ["## What has no time, or a doubtful one", "", plain(report.census), ""]
    for data in report.trouble:
        lines += _part(data, "###")
    lines += ["## Machine, build and conditions", "", "| | |", "|---|---|"]
    for group in report.facts.values():
        lines += [
            f"| {plain(fact.name)} | {plain(fact.value)}{' (differs between cells)' if fact.varies else ''} |"
            for fact in group
        ]
    lines += ["", "All numbers: [results.csv](results.csv), with the command that measures each row again.", ""]
    return "\n".join(lines)


def _part(data: Table, heading: str) -> list[str]:
    body = [*table(data), ""] if data.rows else []
    return [f"{heading} {plain(data.title)}", "", *body, *([plain(data.note), ""] if data.note else [])]


def _picture(name: str, figure: Figure, heading: str) -> list[str]:
    title = plain(figure.title)
    picture = [f"{heading} {title}", "", f"![{title}](figures/{name}.svg)", ""]
    return [*picture, f"{plain(figure.caption)} ([data](figures/{name}.csv))", ""]
