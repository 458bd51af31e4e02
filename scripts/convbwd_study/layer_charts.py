# SPDX-License-Identifier: Apache-2.0
"""The rate of every contender on every layer: bars where there is room for them, otherwise a row of points a layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import altair as alt
import numpy as np
import pandas as pd

from convbwd_study import words
from convbwd_study.analysis import timed
from convbwd_study.layer_maps import blocks
from convbwd_study.scene import PASS_TITLES, TROUBLE, Figure, Scene

if TYPE_CHECKING:
    from typing import Any

MOST_BARS = 240
MOST_SPREAD = 20  # of the layers' best rates, for bars to show them all
SLOWEST = 30  # times slower than the slowest layer's best: the axis of points begins there


def rates(scene: Scene, pass_: str) -> Figure:
    rows = scene.rows[scene.rows["pass"] == pass_]
    columns = ["impl", "isa", "status", "reason", "n", "seconds", "gflops", "gflops_lo", "gflops_hi", "peak_fraction"]
    data = rows[["label_of_layer", *columns, "threaded", "noisy"]].rename(columns={"label_of_layer": "layer"})
    data = data.assign(time=data["seconds"].map(words.duration))
    best = data.groupby("layer")["gflops"].max()
    roomy = len(scene.layers) * len(scene.here) <= MOST_BARS and not best.max() > MOST_SPREAD * best.min()
    chart, how = (_bars if roomy else _points)(scene, data)
    return Figure(
        f"layers-{pass_}",
        f"Every layer: {PASS_TITLES[pass_]}",
        f"{how} The rate counts the multiply-adds of the definition for every algorithm alike, so Winograd may pass "
        "the dashed line, the measured FMA peak. Click a name to single it out.",
        chart,
        data,
    )


def _tips() -> list[Any]:
    return [
        *("layer", "impl", "isa", "time", "n", "status", "reason", "noisy"),
        alt.Tooltip("gflops:Q", format=".1f", title="GFLOP/s"),
        alt.Tooltip("peak_fraction:Q", format=".0%", title="of peak"),
    ]


def _peak_text(peak: float) -> str:
    return f"- - measured FMA peak: {peak:.0f} GFLOP/s"


def _bars(scene: Scene, data: pd.DataFrame) -> tuple[Any, str]:
    data = data.assign(
        mark=[TROUBLE.get(row.status, "1" if row.n == 1 else "") for row in data.itertuples()],
        height=data["gflops"].fillna(0),
    )
    peak = scene.peak
    highest = np.nanmax([peak, data["gflops"].max(), data["gflops_hi"].max(), 1e-9])
    top = float(highest) * 1.06
    x = alt.X("layer:N", sort=scene.layers, title=None, axis=alt.Axis(labelAngle=-40, labelLimit=150))
    offset = alt.XOffset("impl:N", scale=alt.Scale(domain=scene.here, paddingInner=0.1))
    y = alt.Y("height:Q", title="effective GFLOP/s", scale=alt.Scale(domain=[0, top], nice=False))
    pick = alt.selection_point(fields=["impl"], bind="legend")
    faded = alt.condition(pick, alt.value(1), alt.value(0.15))
    base = alt.Chart(data).encode(x=x, xOffset=offset)
    bars = base.mark_bar().encode(y=y, color=scene.colour(), opacity=faded, tooltip=_tips())
    whiskers = base.mark_rule(style="whisker").encode(y=alt.Y("gflops_lo:Q"), y2="gflops_hi:Q")
    marks = base.mark_text(style="ink", dy=-5, fontSize=9).encode(y="height:Q", text="mark:N", tooltip=_tips())
    layers = [bars, whiskers, marks]
    groups, names = len(scene.layers), len(scene.here)
    width = max(420, min(990, groups * (names * 5 + 8)), groups * (names * 3 + 4))
    if np.isfinite(peak):
        level = pd.DataFrame({"peak": [peak], "text": [_peak_text(peak)]})
        rule = alt.Chart(level).mark_rule(style="peak").encode(y="peak:Q")
        label = alt.Chart(level).mark_text(style="peak-label", align="left", baseline="bottom")
        layers += [rule, label.encode(x=alt.value(0), y=alt.value(-6), text="text:N")]
    left = alt.layer(*layers).add_params(pick)
    chart = left.properties(width=width, height=300)
    if np.isfinite(peak):
        share = alt.Y("share:Q", title="share of peak", scale=alt.Scale(domain=[0, top / peak], nice=False))
        axis = alt.Axis(orient="right", format=".0%", grid=False, title="of measured peak")
        ghost = alt.Chart(pd.DataFrame({"share": [0.0]})).mark_point(color="transparent").encode(y=share.axis(axis))
        chart = alt.layer(left, ghost).resolve_scale(y="independent").properties(width=width, height=300)
    return chart, (
        "One group of bars a layer, one bar an implementation; higher is faster. Whiskers are 95 % intervals of the "
        "median. 1: a single run. · skipped, ! failed, ✗ wrong."
    )


def _points(scene: Scene, data: pd.DataFrame) -> tuple[Any, str]:
    """Layers down, rates across on a logarithmic axis, in blocks that have their own axis."""
    shown = timed(data)
    peak = scene.peak
    slowest = float(shown.groupby("layer")["gflops"].max().min()) / SLOWEST
    low = max(slowest, float(shown["gflops"].min()) / 1.2)
    high = float(np.nanmax([peak, shown["gflops"].max()])) * 1.2
    shown = shown.assign(rate=shown["gflops"].clip(lower=low))
    x = alt.X(
        "rate:Q",
        title="effective GFLOP/s (log scale)",
        scale=alt.Scale(type="log", domain=[low, high], nice=False),
        axis=alt.Axis(orient="top"),
    )
    level = pd.DataFrame({"rate": [peak], "text": [_peak_text(peak)]}).dropna()
    charts = []
    for i, block in enumerate(blocks([layer for layer in scene.layers if layer in set(shown["layer"])])):
        pick = alt.selection_point(name=f"pick{i}", fields=["impl"], bind="legend")
        part = shown[shown["layer"].isin(block)]
        points = (
            alt.Chart(part)
            .mark_point(filled=True, size=62)
            .encode(
                x=x,
                y=alt.Y("layer:N", title=None, sort=block, axis=alt.Axis(grid=True, labelLimit=190)),
                color=scene.colour(),
                shape=scene.shape(),
                opacity=alt.condition(pick, alt.value(0.9), alt.value(0.08)),
                tooltip=_tips(),
            )
            .add_params(pick)
        )
        rule = alt.Chart(level).mark_rule(style="peak").encode(x=x)
        label = alt.Chart(level).mark_text(style="peak-label", align="right", baseline="top", dx=-4, dy=5)
        layers = [points, rule, label.encode(x=x, y=alt.value("height"), text="text:N")]
        charts.append(alt.layer(*layers).properties(width=760, height=alt.Step(17)))
    chart = (
        charts[0] if len(charts) == 1 else alt.vconcat(*charts).resolve_scale(color="independent", shape="independent")
    )
    return chart, (
        "One row a layer, one point an implementation; right is faster, and the axis is logarithmic. Rates more than "
        f"{SLOWEST} times below the best of the slowest layer are drawn at the left edge. What has no time is not here."
    )
