# SPDX-License-Identifier: Apache-2.0
"""Where the time of an execution goes: the stages of each row that names them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import altair as alt
import pandas as pd

from convbwd_study import theme, words
from convbwd_study.scene import Figure

if TYPE_CHECKING:
    from convbwd_study.analysis import Analysis
    from convbwd_study.scene import Scene


def stages(scene: Scene) -> Figure | None:
    """Nothing where no row has stages."""
    order = _longest_first(scene.analysis)
    parts = [
        {
            "layer": row.layer,
            "gradient": row.gradient,
            "impl": row.impl,
            "stage": name,
            "place": order.index(name),
            "seconds": seconds,
            "share": seconds / whole,
        }
        for row in scene.points(["stages"]).itertuples()
        if isinstance(row.stages, tuple) and (whole := sum(seconds for _, seconds in row.stages)) > 0
        for name, seconds in row.stages
    ]
    if not parts:
        return None
    data = pd.DataFrame(parts)
    data["time"] = data["seconds"].map(words.duration)
    named = [name for name in order if name in set(data["stage"])]
    here = [name for name in scene.names if name in set(data["impl"])]
    layers = [layer for layer in scene.layers if layer in set(data["layer"])]
    chart = (
        alt.Chart(data)
        .mark_bar()
        .encode(
            x=alt.X("share:Q", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format=".0%"), title=None),
            y=alt.Y("layer:N", sort=layers, title=None),
            color=alt.Color("stage:N", scale=theme.stage_scale(order), legend=alt.Legend(orient="top", values=named)),
            order="place:Q",
            tooltip=["layer", "impl", "stage", "time", alt.Tooltip("share:Q", format=".0%")],
        )
        .properties(width=300, height=alt.Step(13))
        .facet(row=alt.Row("impl:N", sort=here, title=None), column=scene.by_pass())
        .resolve_scale(y="independent")
    )
    return Figure(
        "stages",
        "Where the time goes",
        "Shares of the stages of an execution, for the rows that name theirs, measured outside the race and seen from "
        "the first thread; first the stage that takes longest in the whole study. Winograd's transforms are worth what "
        "they save in products: many channels make them small.",
        chart,
        data.drop(columns="place"),
    )


def _longest_first(analysis: Analysis) -> list[str]:
    """All stages of a study, by their time: the order of work is not in its files."""
    total: Counter[str] = Counter()
    for found in analysis.contenders["stages"]:
        if isinstance(found, tuple):
            total.update(dict(found))
    return sorted(total, key=lambda name: (-total[name], name))
