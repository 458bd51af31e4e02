# SPDX-License-Identifier: Apache-2.0
"""What every picture of one view starts from: its rows and answers, and the scales all pictures share.

Names from files are data: they appear in data values and scale domains, never in an expression or a field's name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import altair as alt

from convbwd_study import answers, rivals, theme, words
from convbwd_study.analysis import Analysis, View, timed

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

PASS_TITLES = {"data": "data gradient (dx)", "weights": "weight gradient (dw)"}
TROUBLE = {"wrong": "✗", "failed": "!", "skipped": "·"}


@dataclass(frozen=True)
class Figure:
    """`slug` is its file name; `caption` says how to read it; `data` is everything drawn."""

    slug: str
    title: str
    caption: str
    chart: Any
    data: pd.DataFrame

    def spec(self) -> dict[str, Any]:
        """The chart as Vega-Lite, without the look, which the theme adds."""
        with alt.data_transformers.enable("default", consolidate_datasets=True, max_rows=None):
            spec: dict[str, Any] = self.chart.to_dict()
        spec.pop("config", None)
        spec["datasets"] = {name: [_rounded(row) for row in rows] for name, rows in spec.get("datasets", {}).items()}
        plain: dict[str, Any] = _plain(spec)
        return plain | {"description": f"{self.title}. {self.caption}"}


_MEMBERS_OF_OBJECTS = re.compile(
    r"constructor|hasOwnProperty|isPrototypeOf|propertyIsEnumerable|toLocaleString|toString|valueOf|__\w+__"
)


def _plain(part: Any) -> Any:
    """Vega looks names up in bare JavaScript objects, which have members of their own, and takes no line separators."""
    if isinstance(part, dict):
        return {key: _plain(value) for key, value in part.items()}
    if isinstance(part, list):
        return [_plain(value) for value in part]
    if not isinstance(part, str):
        return part
    text = re.sub("[\u2028\u2029]", " ", part)
    return text + "\u200b" if _MEMBERS_OF_OBJECTS.fullmatch(text) else text


def _rounded(row: dict[str, Any]) -> dict[str, Any]:
    """Six digits: more than a picture shows, in less than half the space."""
    return {key: float(f"{value:.6g}") if isinstance(value, float) else value for key, value in row.items()}


class Scene:
    """One view of a study, with the same colours for all views."""

    def __init__(self, analysis: Analysis, view: View) -> None:
        self.analysis, self.view = analysis, view
        self.rows = analysis.of(view)
        self.names = analysis.implementations
        self.here = [name for name in self.names if name in set(self.rows["impl"])]
        self.layers = list(dict.fromkeys(self.rows["label_of_layer"]))

    @cached_property
    def winners(self) -> pd.DataFrame:
        return answers.winners(self.analysis, self.view)

    @cached_property
    def vendor(self) -> pd.DataFrame:
        return answers.against_vendor(self.analysis, self.view)

    @cached_property
    def duels(self) -> list[rivals.Duel]:
        return rivals.duels(self.analysis, self.view)

    @cached_property
    def totals(self) -> dict[bool, list[answers.Total]]:
        """With (True) and without (False) the data gradient of the first layer."""
        return {first: answers.totals(self.analysis, self.view, first_layer=first) for first in (True, False)}

    @property
    def peak(self) -> float:
        return float(self.rows["peak_gflops"].median())

    @property
    def bandwidth(self) -> float:
        return float(self.rows["bandwidth_gbs"].median())

    def colour(self, legend: bool = True) -> alt.Color:
        shown = alt.Legend(orient="top", columns=5, offset=22, values=self.here, symbolOpacity=1) if legend else None
        return alt.Color("impl:N", scale=theme.colour_scale(self.names), legend=shown)

    def shape(self) -> alt.Shape:
        shown = alt.Legend(orient="top", columns=5, offset=22, values=self.here, symbolOpacity=1)
        return alt.Shape("impl:N", scale=theme.shape_scale(self.names), legend=shown)

    def by_pass(self) -> alt.Column:
        return alt.Column("gradient:N", title=None, sort=list(PASS_TITLES.values()))

    def points(self, columns: Sequence[str]) -> pd.DataFrame:
        """The rows that have a time, one point each."""
        table = timed(self.rows)[["label_of_layer", "pass", "impl", "isa", "status", "n", "seconds", *columns]]
        table = table.rename(columns={"label_of_layer": "layer"})
        return table.assign(gradient=table["pass"].map(PASS_TITLES), time=table["seconds"].map(words.duration))
