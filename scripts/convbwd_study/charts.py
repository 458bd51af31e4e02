# SPDX-License-Identifier: Apache-2.0
"""All pictures of a study, and how one becomes an SVG file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import vl_convert

from convbwd_study import theme
from convbwd_study.analysis import timed
from convbwd_study.layer_charts import rates
from convbwd_study.layer_maps import vendor_map, winner_map
from convbwd_study.network_chart import conditions, network
from convbwd_study.point_charts import accuracy, isa_ladder, roofline, workspace
from convbwd_study.stage_chart import stages

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convbwd_study.scene import Figure, Scene


def of_view(scene: Scene) -> list[Figure]:
    """In the order in which a reader asks; none if nothing was timed."""
    if timed(scene.rows).empty:
        return []
    made = [network(scene), winner_map(scene), *(rates(scene, pass_) for pass_ in dict.fromkeys(scene.rows["pass"]))]
    if scene.vendor["speedup"].notna().any():
        made.append(vendor_map(scene))
    made += [roofline(scene), accuracy(scene), workspace(scene)]
    if stacked := stages(scene):
        made.append(stacked)
    ladder = scene.analysis.of(scene.view, scene.analysis.contenders)
    if ladder["isa_cap"].nunique() > 1:
        made.append(isa_ladder(scene, ladder))
    return made


def over_views(scenes: Sequence[Scene]) -> list[Figure]:
    """One for each workload that was studied under several conditions."""
    by_workload: dict[str, list[Scene]] = {}
    for scene in scenes:
        if not timed(scene.rows).empty:
            by_workload.setdefault(scene.view.workload, []).append(scene)
    return [conditions(group) for group in by_workload.values() if len(group) > 1]


def svg(figure: Figure) -> str:
    """For readers without a browser at hand, in the light scheme on white paper."""
    text: str = vl_convert.vegalite_to_svg(figure.spec() | {"config": theme.config(dark=False), "padding": 12})
    return text
