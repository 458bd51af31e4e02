# SPDX-License-Identifier: Apache-2.0
"""Where the time of an execution goes: the stages of each row that names them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import altair as alt
import pandas as pd

from convbwd_study import words
from convbwd_study.scene import Figure

if TYPE_CHECKING:
    from convbwd_study.scene import Scene


def stages(scene: Scene) -> Figure | None:
    """Nothing where no row has stages."""
    rows = scene.points(["stages"])
    parts = [
        {"layer": row.layer, "gradient": row.gradient, "impl": row.impl, "stage": name, "seconds": seconds}
        for row in rows.itertuples()
        if isinstance(row.stages, tuple)
        for name, seconds in row.stages
    ]
    if not parts:
        return None
    data = pd.DataFrame(parts)
    data["time"] = data["seconds"].map(words.duration)
    here = [name for name in scene.names if name in set(data["impl"])]
    layers = [layer for layer in scene.layers if layer in set(data["layer"])]
    chart = (
        alt.Chart(data)
        .mark_bar()
        .encode(
            x=alt.X("seconds:Q", stack="normalize", axis=alt.Axis(format=".0%"), title=None),
            y=alt.Y("layer:N", sort=layers, title=None),
            color=alt.Color("stage:N", scale=alt.Scale(scheme="tableau10"), legend=alt.Legend(orient="top")),
            tooltip=["layer", "impl", "stage", "time"],
        )
        .properties(width=300, height=alt.Step(13))
        .facet(row=alt.Row("impl:N", sort=here, title=None), column=scene.by_pass())
        .resolve_scale(y="independent")
    )
    return Figure(
        "stages",
        "Where the time goes",
        "Shares of the stages of an execution, for the rows that name theirs, measured outside the race and seen from "
        "the first thread. Winograd's transforms are worth what they save in products: many channels make them small.",
        chart,
        data,
    )
