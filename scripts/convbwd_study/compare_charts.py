# SPDX-License-Identifier: Apache-2.0
"""Pictures of several studies: one colour and shape a study, or the implementations of one against another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import altair as alt
import pandas as pd

from convbwd_study import layer_maps, stats, theme
from convbwd_study.network_chart import table_of
from convbwd_study.scene import PASS_TITLES, Figure

if TYPE_CHECKING:
    from convbwd_study.comparison import Match

STUDY_COLOURS = ["#2f62c4", "#e6a117", "#1b8a5a", "#c27ad6", "#cf4a2c", "#7d8590", "#4f9fe0", "#9c6b30"]


def _study_scale(match: Match) -> alt.Scale:
    names = list(match.scenes)
    return alt.Scale(domain=names, range=[STUDY_COLOURS[i % len(STUDY_COLOURS)] for i in range(len(names))])


def _study_encodings(match: Match) -> dict[str, Any]:
    legend = alt.Legend(orient="top", columns=2, labelLimit=320)
    return {
        "color": alt.Color("study:N", scale=_study_scale(match), legend=legend),
        "shape": alt.Shape("study:N", scale=theme.shape_scale(list(match.scenes)), legend=legend),
    }


def network(match: Match) -> Figure:
    tables = [table_of(scene.totals[True]).assign(study=label) for label, scene in match.scenes.items()]
    data = pd.concat(tables, ignore_index=True)
    data = data[data["seconds"].notna()].assign(
        ms=lambda rows: rows["seconds"] * 1e3, complete=lambda rows: rows["missing"] == 0
    )
    order = list(dict.fromkeys(data.sort_values(["missing", "seconds"])["impl"]))
    chart = (
        alt.Chart(data)
        .mark_point(filled=True, size=90)
        .encode(
            x=alt.X(
                "ms:Q",
                scale=alt.Scale(type="log", nice=False, padding=24),
                title="ms for one backward pass (log scale)",
            ),
            y=alt.Y("impl:N", sort=order, title=None, axis=alt.Axis(grid=True, labelLimit=230)),
            opacity=alt.condition("datum.complete", alt.value(0.9), alt.value(0.3)),
            tooltip=["study", "impl", "missing", alt.Tooltip("ms:Q", format=".2f")],
            **_study_encodings(match),
        )
    )
    return Figure(
        "network",
        "The whole network's backward pass",
        "Left is faster. Pale points are sums that lack some layers.",
        chart.properties(width=560, height=alt.Step(28)),
        data.drop(columns=["ms", "complete"]),
    )


def own_peak(match: Match, joined: pd.DataFrame, implementations: list[str]) -> Figure:
    known = joined[joined["peak_fraction"].notna()]
    data = known.groupby(["study", "impl", "gradient"], sort=False)["peak_fraction"]
    summary = data.agg(stats.geometric_mean).reset_index()
    here = [name for name in implementations if name in set(summary["impl"])]
    chart = (
        alt.Chart(summary)
        .mark_point(filled=True, size=80)
        .encode(
            x=alt.X("peak_fraction:Q", axis=alt.Axis(format=".0%"), title="of the machine's own measured peak"),
            y=alt.Y("impl:N", sort=here, title=None, axis=alt.Axis(grid=True)),
            tooltip=["study", "impl", alt.Tooltip("peak_fraction:Q", format=".1%")],
            **_study_encodings(match),
        )
    )
    return Figure(
        "own-peak",
        "How well each machine is used",
        "Geometric mean over the layers of the share of each machine's own measured FMA peak: what is left of the "
        "difference when the machines' speeds are taken out.",
        chart.properties(width=380, height=alt.Step(24)).facet(
            column=alt.Column("gradient:N", title=None, sort=list(PASS_TITLES.values()))
        ),
        summary,
    )


def ratio_map(match: Match, joined: pd.DataFrame, implementations: list[str]) -> Figure:
    first = next(iter(match.scenes))
    data = joined[joined["ratio"].notna()][
        ["study", "layer", "gradient", "impl", "ratio", "ratio_lo", "ratio_hi", "verdict", "n"]
    ]
    data = data.assign(text=data["ratio"].map(layer_maps.short), panel=data["study"] + ": " + data["gradient"])
    names = [name for name in implementations if name in set(data["impl"])]
    tips = [
        *("study", "layer", "impl", "verdict", "n"),
        *(alt.Tooltip(f"{field}:Q", format=".3f") for field in ("ratio", "ratio_lo", "ratio_hi")),
    ]
    layers, panels = (list(dict.fromkeys(data[column])) for column in ("layer", "panel"))
    return Figure(
        "ratios",
        f"How many times faster than in {first}",
        f"Above 1 (blue): the same implementation takes less time than in {first}; below 1 (orange): more.",
        layer_maps.ratio_map(data, "ratio", "times faster", names, layers, ("panel", panels), tips),
        data.drop(columns=["text", "panel"]),
    )
