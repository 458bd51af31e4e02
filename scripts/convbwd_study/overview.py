# SPDX-License-Identifier: Apache-2.0
"""A study of several workloads or conditions on one screen: networks one a line, and classes of layers over all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convbwd_study import answers, rival_tables, rivals, words
from convbwd_study.analysis import VENDOR
from convbwd_study.tables import Cell, Table, number, total_time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convbwd_study.answers import Total
    from convbwd_study.scene import Scene


def tables(scenes: Sequence[Scene]) -> list[Table]:
    """Nothing for a single view; classes for each set of conditions that several workloads ran under."""
    if len(scenes) < 2:
        return []
    found = [_networks(scenes)]
    for conditions in dict.fromkeys(scene.view.conditions for scene in scenes):
        together = [scene for scene in scenes if scene.view.conditions == conditions]
        duels = [duel for scene in together for duel in scene.duels]
        if len(together) > 1 and duels:
            data = rival_tables.classes(duels)
            found.append(Table(f"{data.title}: all workloads, {conditions}", data.columns, data.rows, data.note))
    return found


def _networks(scenes: Sequence[Scene]) -> Table:
    rows = []
    for index, scene in enumerate(scenes):
        totals = {total.name: total for total in scene.totals[True]}
        best, own = totals[answers.BEST], totals.get(answers.BEST_OWN)
        single = next(total for total in totals.values() if total.name in scene.names)
        exceptions = len(rivals.exceptions(scene.duels))
        rows.append(
            [
                Cell(scene.view.workload, float(index)),
                Cell(scene.view.conditions),
                number(str(len(scene.layers)), len(scene.layers)),
                Cell(single.name, impl=single.name),
                total_time(single.seconds, single.missing),
                total_time(best.seconds, best.missing),
                _speedup(best),
                _speedup(own),
                number(f"{exceptions} of {len(scene.duels)}" if scene.duels else words.NONE, exceptions),
            ]
        )
    columns = ["workload", "conditions", "layers", "best single", "its backward time", "best of each layer"]
    ratios = [f"best of each × {VENDOR}", f"libraries aside × {VENDOR}", f"ours below {rivals.LEAST}× the best other"]
    note = "One line a network; each has a part of its own below."
    return Table("Everything side by side", [*columns, *ratios], rows, note)


def _speedup(total: Total | None) -> Cell:
    if total is None or total.speedup is None:
        return number(words.NONE, float("nan"))
    over = f" over {total.shared} of {total.of}" if total.shared != total.of else ""
    return number(words.times_with_interval(total.speedup) + over, total.speedup.value)
