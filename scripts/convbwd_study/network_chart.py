# SPDX-License-Identifier: Apache-2.0
"""Pictures of whole-network backward times: by implementation, and over the conditions of a study."""

from __future__ import annotations

from typing import TYPE_CHECKING

import altair as alt
import pandas as pd

from convbwd_study import answers, theme, words
from convbwd_study.analysis import VENDOR
from convbwd_study.scene import Figure, Scene

if TYPE_CHECKING:
    from collections.abc import Sequence

TOTAL_COLUMNS = [
    *("impl", "first_layer", "seconds", "lo", "hi", "data_seconds", "weights_seconds", "missing", "single"),
    *("speedup", "speedup_lo", "speedup_hi", "shared", "of"),
]


def table_of(totals: Sequence[answers.Total]) -> pd.DataFrame:
    """Totals as a table; speedup is against the vendor library, over the layer passes that both have."""
    found = []
    for total in totals:
        row = {"impl": total.name, "first_layer": total.first_layer, "seconds": total.seconds.value}
        row |= {"lo": total.seconds.lo, "hi": total.seconds.hi, "missing": total.missing, "single": int(total.single)}
        row |= {f"{pass_}_seconds": part.value for pass_, part in total.by_pass.items()}
        row |= {"shared": total.shared, "of": total.of}
        if total.speedup:
            row |= {"speedup": total.speedup.value, "speedup_lo": total.speedup.lo, "speedup_hi": total.speedup.hi}
        found.append(row)
    return pd.DataFrame(found, columns=TOTAL_COLUMNS)


def label(total: answers.Total) -> str:
    """`1.31 s · 1.11× onednn`, or what is missing."""
    if total.missing:
        gap = words.counted(total.missing, "layer pass", "layer passes")
        return f"{words.duration(total.seconds.value)} + {gap} missing"
    against = f" · {words.times(total.speedup.value)} {VENDOR}" if total.speedup else ""
    return words.duration(total.seconds.value) + against


def network(scene: Scene) -> Figure:
    full, reduced = (table_of(scene.totals[first]) for first in (True, False))
    texts = {total.name: label(total) for total in scene.totals[True]}
    data = pd.concat([full, reduced], ignore_index=True)
    data = data[data["seconds"].notna()].assign(
        ms=lambda rows: rows["seconds"] * 1e3,
        lo_ms=lambda rows: rows["lo"] * 1e3,
        hi_ms=lambda rows: rows["hi"] * 1e3,
        complete=lambda rows: rows["missing"] == 0,
        sum_of=lambda rows: rows["first_layer"].map({True: "all layers", False: "without the first layer's dx"}),
        text=lambda rows: rows["impl"].map(texts).where(rows["first_layer"], ""),
    )
    order = [total.name for total in scene.totals[True]]
    known = [*scene.names, *answers.BEST_OF]
    hues = theme.colours(scene.names) | dict(zip(answers.BEST_OF, theme.SUM_COLOURS, strict=True))
    colour = alt.Color("impl:N", scale=alt.Scale(domain=known, range=[hues[name] for name in known]), legend=None)
    x = alt.X("ms:Q", scale=alt.Scale(type="log", nice=False, padding=24), title="ms for one backward pass (log scale)")
    y = alt.Y("impl:N", sort=order, title=None, axis=alt.Axis(labelLimit=230, grid=True, labelFontSize=12))
    base = alt.Chart(data).encode(y=y, opacity=alt.condition("datum.complete", alt.value(1), alt.value(0.45)))
    whiskers = base.mark_rule(style="whisker").encode(x=alt.X("lo_ms:Q"), x2="hi_ms:Q")
    points = base.mark_point(size=95, strokeWidth=1.6).encode(
        x=x,
        color=colour,
        fill=alt.condition("datum.first_layer", colour, alt.value("transparent")),
        shape=alt.Shape("complete:N", legend=None, scale=alt.Scale(domain=[True, False], range=["circle", "diamond"])),
        tooltip=[
            *("impl", "sum_of", "missing", "single", "shared"),
            *(alt.Tooltip(f"{field}:Q", format=".2f") for field in ("ms", "lo_ms", "hi_ms")),
            *(alt.Tooltip(f"{field}:Q", format=".3f") for field in ("speedup", "speedup_lo", "speedup_hi")),
        ],
    )
    text = base.mark_text(style="ink", align="left", dx=10, fontSize=11.5).encode(x="ms:Q", text="text:N")
    return Figure(
        "network",
        "The whole network's backward pass",
        "Medians of all layers, both passes, times how often each layer occurs. Filled: everything; open: without the "
        "data gradient of the first layer, which training does not need. Left is better. Pale diamonds are sums over "
        "some of the layers only, because the others have no time, and cannot be compared with the rest.",
        (whiskers + points + text).properties(width=560, height=alt.Step(28)),
        data.drop(columns=["ms", "lo_ms", "hi_ms", "complete", "text"]),
    )


def conditions(scenes: Sequence[Scene]) -> Figure:
    """Network times of one workload under all the conditions it was studied in."""
    tables = [table_of(scene.totals[True]).assign(conditions=scene.view.conditions) for scene in scenes]
    data = pd.concat(tables, ignore_index=True)
    data = data[data["seconds"].notna()].assign(ms=lambda rows: rows["seconds"] * 1e3)
    data["complete"] = data["missing"] == 0
    order = [scene.view.conditions for scene in scenes]
    base = alt.Chart(data[data["impl"].isin(scenes[0].names)]).encode(
        x=alt.X("conditions:N", sort=order, title=None, axis=alt.Axis(labelAngle=-25, labelLimit=260)),
        y=alt.Y("ms:Q", scale=alt.Scale(type="log"), title="ms for one backward pass (log scale)"),
        color=scenes[0].colour(),
    )
    points = base.mark_point(filled=True, size=70).encode(
        opacity=alt.condition("datum.complete", alt.value(1), alt.value(0.3)),
        tooltip=["impl", "conditions", "missing", alt.Tooltip("ms:Q", format=".2f")],
    )
    lines = base.transform_filter("datum.complete").mark_line(strokeWidth=1.5)
    return Figure(
        f"conditions-{scenes[0].view.slug}",
        f"{scenes[0].view.workload} under all conditions",
        "Backward time of the whole network; lower is faster. Pale points lack some layers and are not joined.",
        (lines + points).properties(width=max(420, 110 * len(order)), height=320),
        data.drop(columns=["ms", "complete"]),
    )
