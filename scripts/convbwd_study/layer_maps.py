# SPDX-License-Identifier: Apache-2.0
"""Maps with a row for every layer: who is fastest, and how many times faster than something else.

The map of a network of many layers is cut into blocks, so that the names of its columns are never far away.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Any

import altair as alt
import numpy as np

from convbwd_study import answers, theme, words
from convbwd_study.analysis import VENDOR
from convbwd_study.scene import PASS_TITLES, TROUBLE, Figure, Scene

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from convbwd_study.analysis import Row

MOST_ROWS = 40  # of a block
FEW_NAMES = 12  # have room for wider columns


def blocks(layers: Sequence[str], most: int | None = None) -> list[list[str]]:
    """Neighbours together, all blocks about as long; at most that many, however long."""
    count = min(max(1, ceil(len(layers) / MOST_ROWS)), most or len(layers))
    return [list(block) for block in np.array_split(np.array(layers, dtype=object), count)]


def winner_map(scene: Scene) -> Figure:
    data = scene.winners.copy()
    data["gradient"] = data["pass"].map(PASS_TITLES)
    data["text"] = [winner_text(row) for row in data.to_dict("records")]
    data["close"] = data["close"].map(", ".join)
    data["impl"] = data["impl"].fillna("")
    data["strength"] = (data["margin"].fillna(1) - 0.75).clip(0.25, 0.7)
    parts = blocks(list(dict.fromkeys(data["layer"])), most=2)
    width = 560 if len(parts) == 1 else 400
    charts = [_winners_of(data[data["layer"].isin(block)], block, scene, width) for block in parts]
    return Figure(
        "winners",
        "Fastest implementation of each layer",
        "The colour is the winner's, the stronger the larger its lead; the number says how many times longer the "
        "runner-up takes. Dashed: nobody wins. ≈ they tie within 2 %; ? too few or too scattered rounds to tell them "
        "apart.",
        charts[0] if len(charts) == 1 else alt.hconcat(*charts),
        data.drop(columns=["strength", "race", "layer_rank"]),
    )


def _winners_of(data: pd.DataFrame, layers: list[str], scene: Scene, width: int) -> Any:
    gaps, rows = alt.Scale(paddingInner=0.02, paddingOuter=0), alt.Scale(paddingInner=0.14, paddingOuter=0)
    axis = alt.Axis(orient="top", labelAngle=0)
    tips = ["layer", "gradient", "impl", "isa", "result", "runner_up", "close", "n"]
    base = alt.Chart(data).encode(
        x=alt.X("gradient:N", title=None, sort=list(PASS_TITLES.values()), axis=axis, scale=gaps),
        y=alt.Y("layer:N", title=None, sort=layers, axis=alt.Axis(labelLimit=180), scale=rows),
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
    labels = base.mark_text(style="ink", limit=width / 2 - 14, fontSize=11.5).encode(text="text:N")
    return (cells + undecided + labels).properties(width=width, height=alt.Step(23))


def winner_text(winner: Row) -> str:
    names = words.one_of(answers.leaders(winner))
    if winner["result"] == "clear":
        return f"{names}  {words.times(winner['margin'])}"
    return {"none": "no time", "alone": f"{names} (alone)", "tie": f"≈ {names}", "open": f"? {names}"}[winner["result"]]


def vendor_map(scene: Scene) -> Figure:
    data = scene.vendor.copy()
    data["gradient"] = data["pass"].map(PASS_TITLES)
    data["text"] = [
        short(row.speedup) if np.isfinite(row.speedup) else TROUBLE.get(row.status, "") for row in data.itertuples()
    ]
    tips = [
        *("layer", "gradient", "impl", "verdict", "status", "reason", "n"),
        *(alt.Tooltip(f"{field}:Q", format=".3f") for field in ("speedup", "lo", "hi")),
    ]
    names = [name for name in scene.names if name in set(data["impl"])]
    return Figure(
        "vendor",
        f"How many times faster than {VENDOR}",
        f"Above 1 (blue) the implementation beats {VENDOR} on that layer, below 1 (orange) it loses; the ratio is "
        "taken within rounds, so disturbances of the machine cancel. · skipped, ! failed, ✗ wrong.",
        ratio_map(data, "speedup", f"× {VENDOR}", names, scene.layers, ("gradient", list(PASS_TITLES.values())), tips),
        data.drop(columns=["race", "layer_rank"]),
    )


def short(ratio: float) -> str:
    """`0.97`, `1.12`, `12.3`, `0.03`."""
    return words.significant(ratio, 1 if ratio < 0.1 else 2 if ratio < 1 else 3)


def ratio_map(
    data: pd.DataFrame,
    ratio: str,
    title: str,
    names: list[str],
    layers: list[str],
    panels: tuple[str, list[str]],
    tips: list[Any],
) -> Any:
    """Names across, layers down, the field `ratio` as colour and its `text` on it; one such map a value of `panels`, a
    field and its order."""
    field, order = panels
    step, size = (40, 10) if len(names) <= FEW_NAMES else (30, 9)
    scale = alt.Scale(type="log", domain=[0.25, 0.5, 1, 2, 4], range="diverging", clamp=True, interpolate="rgb")
    legend = alt.Legend(orient="bottom", title=title, values=[0.25, 0.5, 1, 2, 4], gradientLength=240)
    charts = []
    for block in blocks(layers):
        base = alt.Chart().encode(
            x=alt.X("impl:N", title=None, sort=names, axis=alt.Axis(labelAngle=-40, orient="top", labelLimit=140)),
            y=alt.Y("layer:N", title=None, sort=block, axis=alt.Axis(labelLimit=150)),
        )
        cells = base.mark_rect(cornerRadius=2).encode(
            color=alt.Color(f"{ratio}:Q", scale=scale, legend=legend), tooltip=tips
        )
        labels = base.mark_text(style="ink", fontSize=size).encode(text="text:N")
        for pair in (order[i : i + 2] for i in range(0, len(order), 2)):
            part = data[data["layer"].isin(block) & data[field].isin(pair)]
            chart = alt.layer(cells, labels, data=part).properties(
                width=max(170, step * len(names)), height=alt.Step(19)
            )
            charts.append(chart.facet(column=alt.Column(f"{field}:N", title=None, sort=pair)))
    return charts[0] if len(charts) == 1 else alt.vconcat(*charts)
