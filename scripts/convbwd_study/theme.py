# SPDX-License-Identifier: Apache-2.0
"""How charts look: one colour and shape for each implementation everywhere, and a light and a dark Vega configuration.

Charts name no colour of text, rules or paper themselves but styles ("ink", "peak", ...), which each scheme defines.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import altair as alt

from convbwd_study.analysis import VENDOR, is_vendor

if TYPE_CHECKING:
    from collections.abc import Sequence

# All sixteen stay apart, from each other and from the greys, with and without colour vision, and are readable on white
# and on near-black; two that share a shape, eight places apart, differ most. The vendor's rows are grey: everything is
# held against them.
VENDOR_GREYS = ["#7d8590", "#adb5bf"]
PALETTE = [
    *("#439b59", "#bc64bc", "#2185de", "#904e6f", "#2cbcff", "#006f90", "#59c890", "#e990e9"),
    *("#de6f64", "#376f37", "#a6a600", "#9090ff", "#9b7a16", "#e9a664", "#b14300", "#6f59bc"),
]
# Of the palette, those that differ most; the first four, one stage beside another, by far.
STAGE_COLOURS = ["#b14300", "#e9a664", "#2cbcff", "#6f59bc", "#904e6f", "#de6f64"]
SUM_COLOURS = ["#c8931a", "#a98a4b", "#7d8590"]  # of the best of each layer: of all, of ours, of libraries
_SALT = 8626  # with it the names there are fall on different places
SHAPES = ["circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right", "triangle-left"]
FONT = "system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', 'DejaVu Sans', Arial, sans-serif"


def places(implementations: Sequence[str]) -> dict[str, int]:
    """Where each name stands in the palette: told by the name itself, so that all studies agree; a later name of two
    that want the same place takes the next free one."""
    taken: dict[str, int] = {}
    for name in sorted(name for name in set(implementations) if not is_vendor(name)):
        wanted = hashlib.sha256(f"{_SALT}{name}".encode()).digest()[0] % len(PALETTE)
        free = [place for place in range(len(PALETTE)) if place not in taken.values()]
        taken[name] = min(free, key=lambda place: (place - wanted) % len(PALETTE)) if free else wanted
    return taken


def colours(implementations: Sequence[str]) -> dict[str, str]:
    found = places(implementations)
    return {name: PALETTE[found[name]] if name in found else VENDOR_GREYS[name != VENDOR] for name in implementations}


def colour_scale(implementations: Sequence[str]) -> alt.Scale:
    chosen = colours(implementations)
    return alt.Scale(domain=list(chosen), range=list(chosen.values()))


def stage_scale(stages: Sequence[str]) -> alt.Scale:
    """In the order given; a colour belongs to the place of the name in the alphabet, so that studies agree."""
    colour = {name: STAGE_COLOURS[place % len(STAGE_COLOURS)] for place, name in enumerate(sorted(stages))}
    return alt.Scale(domain=list(stages), range=[colour[name] for name in stages])


def shape_scale(implementations: Sequence[str]) -> alt.Scale:
    found = places(implementations)
    shapes = [SHAPES[found.get(name, int(name != VENDOR)) % len(SHAPES)] for name in implementations]
    return alt.Scale(domain=list(implementations), range=shapes)


def config(dark: bool) -> dict[str, Any]:
    ink, soft, line = ("#e4e7eb", "#a7afb9", "#333a44") if dark else ("#1d232b", "#5c6773", "#dfe4ea")
    paper = "#161a20" if dark else "#ffffff"
    alarm = "#ff8a75" if dark else "#b3261e"
    text = {"labelFont": FONT, "titleFont": FONT, "labelColor": soft, "titleColor": soft, "titleFontWeight": "normal"}
    return {
        "background": "transparent" if dark else paper,
        "font": FONT,
        "view": {"stroke": None},
        "axis": {
            **text,
            "gridColor": line,
            "domainColor": line,
            "tickColor": line,
            "labelFontSize": 11,
            "titleFontSize": 11,
        },
        "legend": {**text, "title": None, "labelColor": ink, "labelFontSize": 12, "symbolSize": 110, "labelLimit": 260},
        "header": {**text, "labelColor": ink, "labelFontSize": 13, "labelFontWeight": "bold"},
        "title": {"font": FONT, "color": ink, "fontSize": 14, "anchor": "start"},
        "text": {"font": FONT, "fontSize": 11, "color": ink},
        "range": {
            "diverging": ["#b8621b", "#7a5232", "#3b3f46", "#35607f", "#3f8fd2"]
            if dark
            else ["#d9822b", "#f0c595", "#f4f5f7", "#a9cdec", "#4a90d0"]
        },
        "style": {
            "ink": {"color": ink},
            "whisker": {"color": ink, "strokeWidth": 1, "opacity": 0.75},
            "peak": {"color": alarm, "strokeWidth": 1.3, "strokeDash": [6, 3]},
            "peak-label": {"color": alarm, "fontSize": 11},
            "roof": {"color": alarm, "stroke": alarm, "strokeWidth": 1.6},
            "undecided": {"stroke": soft, "strokeWidth": 1.2, "strokeDash": [4, 3]},
        },
    }


CONFIGS = {"light": config(False) | {"background": "transparent"}, "dark": config(True)}
