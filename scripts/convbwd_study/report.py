# SPDX-License-Identifier: Apache-2.0
"""A study's report: report.html, summary.md, results.csv and figures/, all derived from its cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from convbwd_study import charts, facts, headline, page, results, summary, tables, words
from convbwd_study.analysis import VENDOR, Analysis
from convbwd_study.scene import Scene
from convbwd_study.stats import APART, MIN_EFFECT, MIN_ROUNDS

if TYPE_CHECKING:
    from pathlib import Path

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
    everything: tables.Table


def write_report(study_dir: Path) -> ReportResult:
    """Draws everything anew from the cells. Raises StudyError where the folder is no study or a file is damaged."""
    study = results.load(study_dir)
    analysis = Analysis(study)
    scenes = [Scene(analysis, view) for view in analysis.views]
    pages = [_view_page(scene) for scene in scenes]
    overview = [(figure.slug, figure) for figure in charts.over_views(scenes)]
    trouble = tables.trouble(analysis)
    text = headline.of_study(study, scenes)

    html = page.render(
        "report.html.j2",
        analysis.implementations,
        title=f"{headline.cpu_of(study)}: {study.name}",
        cpu=headline.cpu_of(study),
        study=study,
        warnings=facts.warnings(study),
        views=pages,
        overview=overview,
        census=census(analysis),
        trouble=trouble,
        facts=facts.machine(study),
        statistics={"rounds": MIN_ROUNDS, "apart": f"{APART - 1:.0%}", "effect": f"{MIN_EFFECT - 1:.0%}"},
        vendor=VENDOR,
    )
    page.write_figures(study_dir / "figures", [*(item for view in pages for item in view.figures), *overview])
    page.write_table(study_dir / "results.csv", tables.results(analysis))
    page.write_text(study_dir / "summary.md", summary.markdown(study, pages, overview, trouble, census(analysis)))
    page.write_text(study_dir / "report.html", html)
    return ReportResult(text, study_dir / "report.html")


def _view_page(scene: Scene) -> ViewPage:
    slug = scene.view.slug
    return ViewPage(
        slug=slug,
        title=scene.view.title,
        sentences=headline.of_view(scene),
        figures=[(f"{slug}-{figure.slug}", figure) for figure in charts.of_view(scene)],
        totals=tables.totals(scene),
        winners=tables.winners(scene),
        everything=tables.everything(scene),
    )


def census(analysis: Analysis) -> str:
    """`Of 414 rows 340 were timed, 20 timed once, ...`"""
    counts = analysis.best["status"].value_counts()
    names = {"timed": "timed", "once": "timed once", "skipped": "skipped", "wrong": "wrong", "failed": "failed"}
    parts = [f"{counts[status]} {name}" for status, name in names.items() if counts.get(status)]
    return f"Of {words.counted(int(counts.sum()), 'row')}: {', '.join(parts)}."
