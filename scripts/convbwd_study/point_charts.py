# SPDX-License-Identifier: Apache-2.0
"""Pictures with a point for every row: roofline, accuracy, scratch memory, instruction sets."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from convbwd_study import answers, words
from convbwd_study.analysis import timed
from convbwd_study.scene import PASS_TITLES, Figure, Scene

SMALLEST = {"error_rms": 1e-9, "error_ratio": 1e-6}  # where the log axis of errors begins


def roofline(scene: Scene) -> Figure:
    data = scene.points(["intensity", "gflops", "peak_fraction"])
    leaders = {
        (winner["layer"], winner["pass"], name)
        for winner in scene.winners.to_dict("records")
        for name in answers.leaders(winner)
    }
    data["leads"] = [one in leaders for one in zip(data["layer"], data["pass"], data["impl"], strict=True)]
    peak, bandwidth = scene.peak, scene.bandwidth
    low, high = max(float(data["intensity"].min()) / 2, 1e-3), float(data["intensity"].max()) * 2
    if np.isfinite(peak / bandwidth):
        low = min(low, peak / bandwidth / 4)
    knots = np.geomspace(low, high, 60)
    roof = pd.DataFrame({"intensity": knots, "gflops": np.minimum(peak, bandwidth * knots)}).dropna()
    x = alt.X(
        "intensity:Q", scale=alt.Scale(type="log", domain=[low, high], nice=False), title="FLOP per byte of the tensors"
    )
    y = alt.Y("gflops:Q", scale=alt.Scale(type="log"), title="effective GFLOP/s")
    points = (
        alt.Chart()
        .mark_point(filled=True, size=42)
        .encode(
            x=x,
            y=y,
            opacity=alt.condition("datum.leads", alt.value(0.95), alt.value(0.22)),
            color=scene.colour(),
            shape=scene.shape(),
            tooltip=["layer", "impl", "isa", "time", "n", alt.Tooltip("gflops:Q", format=".1f")],
        )
    )
    line = alt.Chart(roof).mark_line(style="roof").encode(x="intensity:Q", y="gflops:Q")
    chart = alt.layer(points, line, data=data).properties(width=400, height=280)
    return Figure(
        "roofline",
        "Where the limit is: arithmetic or memory",
        "Each point is a layer; the strong ones may be the fastest there. Points cannot lie above the line for long: "
        f"its slope is the measured bandwidth ({bandwidth:.1f} GB/s), its flat part the measured FMA peak ({peak:.0f} "
        "GFLOP/s). Left of the bend memory limits, right of it arithmetic. Above it lie layers that fit in the caches, "
        "and Winograd, which multiplies less.",
        chart.facet(column=scene.by_pass()),
        data,
    )


def accuracy(scene: Scene) -> Figure:
    data = scene.points(["error_rms", "error_bound", "error_ratio", "peak_fraction"])
    measured = bool(data["error_rms"].notna().any())  # older studies have the ratio only
    kind = "error_rms" if measured else "error_ratio"
    without = int(data[kind].isna().sum())
    data = data.dropna(subset=kind)
    exact = int((data[kind] == 0).sum())
    data["x"], data["bound"] = data[kind].clip(lower=SMALLEST[kind]), data["error_bound"].clip(lower=SMALLEST[kind])
    if measured:
        title = "error: root mean square, over that of the right values"
        caption = (
            "Errors are measured against sums in double, on normally distributed numbers. Each pale tick is what the "
            "error of the point at its height could be for any data: see “its bound” in the table of all rows."
        )
    else:
        title, caption = "worst error ÷ allowed error", "1 on the axis is the error that is allowed."
    if exact:
        caption += f" At the left edge: {words.counted(exact, 'row')} without any error."
    if without:
        caption += f" Not shown: {words.counted(without, 'row')} that ran only once, for the proof."
    y = alt.Y("peak_fraction:Q", axis=alt.Axis(format=".0%"), title="of measured peak")
    tips = ["layer", "impl", "time", *(alt.Tooltip(f"{name}:Q", format=".2g") for name in (kind, "error_bound"))]
    points = (
        alt.Chart()
        .mark_point(filled=True, size=42, opacity=0.8)
        .encode(
            x=alt.X(
                "x:Q",
                scale=alt.Scale(type="log"),
                title=title,
                axis=alt.Axis(format=".0e", tickCount=6, grid=False),
            ),
            y=y,
            color=scene.colour(),
            shape=scene.shape(),
            tooltip=tips,
        )
    )
    bounds = (
        alt.Chart()
        .mark_tick(orient="vertical", size=7, thickness=1.3, opacity=0.5)
        .encode(x=alt.X("bound:Q"), y=y, color=scene.colour(), tooltip=tips)
        .transform_filter("isValid(datum.bound)")
    )
    chart = alt.layer(bounds, points, data=data) if measured else alt.layer(points, data=data)
    return Figure(
        "accuracy",
        "Speed against accuracy",
        f"Fast is up, accurate is left. {caption} Every row shown was proved right.",
        chart.properties(width=400, height=240).facet(column=scene.by_pass()),
        data.drop(columns=["x", "bound"]),
    )


def workspace(scene: Scene) -> Figure:
    data = scene.points(["workspace_bytes"])
    data["mib"] = data["workspace_bytes"] / 2**20
    here = [name for name in scene.names if name in set(data["impl"])]
    chart = (
        alt.Chart(data)
        .mark_tick(thickness=2, opacity=0.75)
        .encode(
            x=alt.X(
                "mib:Q",
                scale=alt.Scale(type="symlog", constant=0.1, domain=[0, max(0.1, float(data["mib"].max()))]),
                title="scratch memory, MiB",
            ),
            y=alt.Y("impl:N", sort=here, title=None),
            color=scene.colour(legend=False),
            tooltip=["layer", "gradient", "impl", alt.Tooltip("mib:Q", format=".2f")],
        )
    )
    return Figure(
        "workspace",
        "Scratch memory",
        "One stroke a layer and pass: memory a row needs beside the tensors themselves. Left is better; 0 needs none.",
        chart.properties(width=560, height=alt.Step(24)),
        data.drop(columns="mib"),
    )


def isa_ladder(scene: Scene, rows: pd.DataFrame) -> Figure:
    fastest = timed(rows).sort_values("seconds").drop_duplicates(["race", "impl", "isa"])
    data = fastest.drop(columns="layer").rename(columns={"label_of_layer": "layer"})
    data = data[["layer", "pass", "impl", "isa", "n", "seconds", "gflops"]]
    data["gradient"] = data["pass"].map(PASS_TITLES)
    middle = data.groupby(["impl", "isa", "gradient"], sort=False)["gflops"].median().reset_index()
    isas = [isa for isa in ("neon", "baseline", "avx2", "avx512") if isa in set(data["isa"])]
    order = [*isas, *sorted(set(data["isa"]) - set(isas))]
    chart = (
        alt.Chart(middle)
        .mark_line(point=True)
        .encode(
            x=alt.X("isa:N", sort=order, title=None, axis=alt.Axis(labelAngle=0)),
            y=alt.Y("gflops:Q", title="effective GFLOP/s, median of layers"),
            color=scene.colour(),
            tooltip=["impl", "isa", alt.Tooltip("gflops:Q", format=".1f")],
        )
    )
    return Figure(
        "isa",
        "What the instruction set brings",
        "The same implementation compiled for, or held to, each instruction set; elsewhere in this report its fastest "
        "row stands for it.",
        chart.properties(width=300, height=240).facet(column=scene.by_pass()),
        data,
    )
