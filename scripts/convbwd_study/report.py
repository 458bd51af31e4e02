# SPDX-License-Identifier: Apache-2.0
"""A study's report: report.html, summary.md, results.csv and figures/, all derived from its cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from convbwd_study import charts, facts, headline, overview, page, results, rival_tables, summary, tables, words
from convbwd_study.analysis import VENDOR, Analysis
from convbwd_study.scene import Scene
from convbwd_study.stats import APART, MIN_EFFECT, MIN_ROUNDS

if TYPE_CHECKING:
    from pathlib import Path

    from convbwd_study.facts import Fact
    from convbwd_study.results import Study
    from convbwd_study.scene import Figure


@dataclass(frozen=True)
class ReportResult:
    headline: str
    path: Path


@dataclass(frozen=True)
class ViewPage:
    """One view, ready for the template."""

    slug: str
    title: str
    sentences: list[str]
    figures: list[tuple[str, Figure]]
    totals: tables.Table
    winners: tables.Table
    against_libraries: list[tables.Table]
    everything: tables.Table


@dataclass(frozen=True)
class Content:
    """All of a report, for the page and for Markdown alike."""

    study: Study
    warnings: list[str]
    side_by_side: list[tables.Table]
    views: list[ViewPage]
    overview: list[tuple[str, Figure]]
    census: str
    trouble: list[tables.Table]
    facts: dict[str, list[Fact]]

    @property
    def inlined(self) -> bool:
        """Whether the page holds every row, or leaves them to results.csv."""
        return sum(len(view.everything.rows) for view in self.views) <= page.MOST_ROWS

    @property
    def cpu(self) -> str:
        return headline.cpu_of(self.study)


def write_report(study_dir: Path) -> ReportResult:
    """Draws everything anew from the cells. Raises StudyError where the folder is no study or a file is damaged."""
    study = results.load(study_dir)
    analysis = Analysis(study)
    scenes = [Scene(analysis, view) for view in analysis.views]
    content = Content(
        study=study,
        warnings=facts.warnings(study),
        side_by_side=overview.tables(scenes),
        views=[_view_page(scene) for scene in scenes],
        overview=[(figure.slug, figure) for figure in charts.over_views(scenes)],
        census=census(analysis),
        trouble=tables.trouble(analysis),
        facts=facts.machine(study),
    )
    html = page.render(
        "report.html.j2",
        analysis.implementations,
        title=f"{content.cpu}: {study.name}",
        report=content,
        statistics={"rounds": MIN_ROUNDS, "apart": f"{APART - 1:.0%}", "effect": f"{MIN_EFFECT - 1:.0%}"},
        vendor=VENDOR,
    )
    figures = [*(figure for view in content.views for figure in view.figures), *content.overview]
    page.write_figures(study_dir / "figures", figures)
    page.write_table(study_dir / "results.csv", tables.results(analysis))
    page.write_text(study_dir / "summary.md", summary.markdown(content))
    page.write_text(study_dir / "report.html", html)
    return ReportResult(headline.of_study(study, scenes), study_dir / "report.html")


def _view_page(scene: Scene) -> ViewPage:
    slug = scene.view.slug
    return ViewPage(
        slug=slug,
        title=scene.view.title,
        sentences=headline.of_view(scene),
        figures=[(f"{slug}-{figure.slug}", figure) for figure in charts.of_view(scene)],
        totals=tables.totals(scene),
        winners=tables.winners(scene),
        against_libraries=[rival_tables.classes(scene.duels), rival_tables.exceptions(scene)] if scene.duels else [],
        everything=tables.everything(scene),
    )


def census(analysis: Analysis) -> str:
    """`Of 414 rows 340 were timed, 20 timed once, ...`"""
    counts = analysis.best["status"].value_counts()
    names = {"timed": "timed", "once": "timed once", "skipped": "skipped", "wrong": "wrong", "failed": "failed"}
    parts = [f"{counts[status]} {name}" for status, name in names.items() if counts.get(status)]
    return f"Of {words.counted(int(counts.sum()), 'row')}: {', '.join(parts)}."
