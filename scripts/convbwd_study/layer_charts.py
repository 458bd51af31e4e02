# SPDX-License-Identifier: Apache-2.0
"""Pictures with a place for every layer: bars against the peak, the winner map, the map of ratios to the vendor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import altair as alt
import numpy as np
import pandas as pd

from convbwd_study import answers, theme, words
from convbwd_study.analysis import VENDOR
from convbwd_study.scene import PASS_TITLES, TROUBLE, Figure, Scene

if TYPE_CHECKING:
    from convbwd_study.analysis import Row


def bars(scene: Scene, pass_: str) -> Figure:
    rows = scene.rows[scene.rows["pass"] == pass_]
    columns = ["impl", "isa", "status", "reason", "n", "seconds", "gflops", "gflops_lo", "gflops_hi", "peak_fraction"]
    data = rows[["label_of_layer", *columns, "threaded", "noisy"]].rename(columns={"label_of_layer": "layer"})
    data = data.assign(
        time=data["seconds"].map(words.duration),
        mark=[TROUBLE.get(row.status, "1" if row.n == 1 else "") for row in data.itertuples()],
        height=data["gflops"].fillna(0),
    )
    peak = scene.peak
    highest = np.nanmax([peak, data["gflops"].max(), data["gflops_hi"].max(), 1e-9])
    top = float(highest) * 1.06
    x = alt.X("layer:N", sort=scene.layers, title=None, axis=alt.Axis(labelAngle=-40, labelLimit=150))
    here = scene.here
    offset = alt.XOffset("impl:N", scale=alt.Scale(domain=here, paddingInner=0.1))
    y = alt.Y("height:Q", title="effective GFLOP/s", scale=alt.Scale(domain=[0, top], nice=False))
    pick = alt.selection_point(fields=["impl"], bind="legend")
    tips = ["layer", "impl", "isa", "time", "n", "status", "reason", "noisy"]
    base = alt.Chart(data).encode(x=x, xOffset=offset)
    faded = alt.condition(pick, alt.value(1), alt.value(0.15))
    bars = base.mark_bar().encode(
        y=y,
        color=scene.colour(),
        opacity=faded,
        tooltip=[
            *tips,
            alt.Tooltip("gflops:Q", format=".1f", title="GFLOP/s"),
            alt.Tooltip("peak_fraction:Q", format=".0%", title="of peak"),
        ],
    )
    whiskers = base.mark_rule(style="whisker").encode(y=alt.Y("gflops_lo:Q"), y2="gflops_hi:Q")
    marks = base.mark_text(style="ink", dy=-5, fontSize=9).encode(y="height:Q", text="mark:N", tooltip=tips)
    layers = [bars, whiskers, marks]
    groups = len(scene.layers)
    width = max(420, min(990, groups * (len(here) * 5 + 8)), groups * (len(here) * 3 + 4))
    if np.isfinite(peak):
        level = pd.DataFrame({"peak": [peak], "text": [f"- - measured FMA peak: {peak:.0f} GFLOP/s"]})
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
    return Figure(
        f"layers-{pass_}",
        f"Every layer: {PASS_TITLES[pass_]}",
        "One group of bars a layer, one bar an implementation; higher is faster. The rate counts the multiply-adds of "
        "the definition for every algorithm alike, so Winograd may pass the dashed line, the measured FMA peak. "
        "Whiskers are 95 % intervals of the median. 1: a single run. · skipped, ! failed, ✗ wrong. "
        "Click a name to single it out.",
        chart,
        data.drop(columns="height"),
    )


def winner_map(scene: Scene) -> Figure:
    data = scene.winners.copy()
    data["gradient"] = data["pass"].map(PASS_TITLES)
    data["text"] = [winner_text(row) for row in data.to_dict("records")]
    data["close"] = data["close"].map(", ".join)
    data["impl"] = data["impl"].fillna("")
    data["strength"] = (data["margin"].fillna(1) - 0.75).clip(0.25, 0.7)
    order = list(dict.fromkeys(data["layer"]))
    gaps, rows = alt.Scale(paddingInner=0.02, paddingOuter=0), alt.Scale(paddingInner=0.14, paddingOuter=0)
    tips = ["layer", "gradient", "impl", "isa", "result", "runner_up", "close", "n"]
    base = alt.Chart(data).encode(
        x=alt.X(
            "gradient:N",
            title=None,
            sort=list(PASS_TITLES.values()),
            axis=alt.Axis(orient="top", labelAngle=0),
            scale=gaps,
        ),
        y=alt.Y("layer:N", title=None, sort=order, axis=alt.Axis(labelLimit=180), scale=rows),
    )
    won = base.transform_filter("datum.result == 'clear' || datum.result == 'alone'").mark_rect(cornerRadius=3)
    cells = won.encode(
        color=alt.Color("impl:N", scale=theme.colour_scale(scene.names), legend=None),
        fillOpacity=alt.FillOpacity("strength:Q", scale=None, legend=None),
        tooltip=[*tips, alt.Tooltip("margin:Q", format=".3f", title="runner-up takes (times)")],
    )
    undecided = (
        base.transform_filter("datum.result == 'tie' || datum.result == 'open'")
        .mark_rect(style="undecided", cornerRadius=3, fill="transparent")  # not hollow: the tooltip is inside
        .encode(tooltip=tips)
    )
    labels = base.mark_text(style="ink", limit=200, fontSize=11.5).encode(text="text:N")
    return Figure(
        "winners",
        "Fastest implementation of each layer",
        "The colour is the winner's, the stronger the larger its lead; the number says how many times longer the "
        "runner-up takes. Dashed: nobody wins. ≈ they tie within 2 %; ? too few or too scattered rounds to tell them "
        "apart.",
        (cells + undecided + labels).properties(width=430, height=alt.Step(24)),
        data.drop(columns=["strength", "race", "layer_rank"]),
    )


def vendor_map(scene: Scene) -> Figure:
    data = scene.vendor.copy()
    data["gradient"] = data["pass"].map(PASS_TITLES)
    data["text"] = [
        words.significant(row.speedup, 2 if row.speedup < 0.1 else 3)
        if np.isfinite(row.speedup)
        else TROUBLE.get(row.status, "")
        for row in data.itertuples()
    ]
    here = [name for name in scene.names if name in set(data["impl"])]
    base = alt.Chart(data).encode(
        x=alt.X("impl:N", title=None, sort=here, axis=alt.Axis(labelAngle=-40, orient="top", labelLimit=140)),
        y=alt.Y("layer:N", title=None, sort=scene.layers, axis=alt.Axis(labelLimit=180)),
    )
    scale = alt.Scale(type="log", domain=[0.25, 0.5, 1, 2, 4], range="diverging", clamp=True, interpolate="rgb")
    legend = alt.Legend(orient="bottom", title=f"× {VENDOR}", values=[0.25, 0.5, 1, 2, 4], gradientLength=240)
    cells = base.mark_rect(cornerRadius=2).encode(
        color=alt.Color("speedup:Q", scale=scale, legend=legend),
        tooltip=[
            *("layer", "gradient", "impl", "verdict", "status", "reason", "n"),
            *(alt.Tooltip(f"{field}:Q", format=".3f") for field in ("speedup", "lo", "hi")),
        ],
    )
    labels = base.mark_text(style="ink", fontSize=10).encode(text="text:N")
    chart = alt.layer(cells, labels, data=data).properties(width=max(170, 40 * len(here)), height=alt.Step(19))
    facet = chart.facet(column=scene.by_pass())
    return Figure(
        "vendor",
        f"How many times faster than {VENDOR}",
        f"Above 1 (blue) the implementation beats {VENDOR} on that layer, below 1 (orange) it loses; the ratio is "
        "taken within rounds, so disturbances of the machine cancel. · skipped, ! failed, ✗ wrong.",
        facet,
        data.drop(columns=["race", "layer_rank"]),
    )


def winner_text(winner: Row) -> str:
    names = words.one_of(answers.leaders(winner))
    if winner["result"] == "clear":
        return f"{names}  {words.times(winner['margin'])}"
    return {"none": "no time", "alone": f"{names} (alone)", "tie": f"≈ {names}", "open": f"? {names}"}[winner["result"]]
