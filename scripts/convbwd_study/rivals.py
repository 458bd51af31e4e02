# SPDX-License-Identifier: Apache-2.0
"""Our own rows against everybody else's: layer by layer, the exceptions, and by class of layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from convbwd_study import stats
from convbwd_study.analysis import is_vendor
from convbwd_study.answers import races
from convbwd_study.layer_class import CLASSES, class_of
from convbwd_study.plan import PASSES
from convbwd_study.stats import Estimate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convbwd_study.analysis import Analysis, Row, View

LEAST = 0.97  # of the best other row's speed; below, a layer is an exception


@dataclass(frozen=True)
class Duel:
    """One layer pass. `ours`, `rival`, `vendor`: the fastest row that is no library, that is one, that is the vendor's,
    where there is one with a time. `speed`: ours over the rival's; `over_vendor`: ours over the vendor's."""

    analysis: Analysis
    place: Row
    ours: Row | None
    rival: Row | None
    vendor: Row | None

    @property
    def kind(self) -> str:
        return class_of(str(self.place["problem"]))

    @property
    def speed(self) -> Estimate | None:
        return self._over(self.rival)

    @property
    def over_vendor(self) -> Estimate | None:
        return self._over(self.vendor)

    def _over(self, other: Row | None) -> Estimate | None:
        if self.ours is None or other is None:
            return None
        return self.analysis.ratio(other, self.ours).estimate

    @property
    def is_exception(self) -> bool:
        """A library is faster than ours by more than is allowed, or has a time where none of ours has."""
        if self.rival is None:
            return False
        return self.speed is None or self.speed.value < LEAST

    @property
    def is_certain(self) -> bool:
        return self.is_exception and (self.speed is None or self.speed.hi < LEAST)


def duels(analysis: Analysis, view: View) -> list[Duel]:
    """One a race, in the network's order; none where the view has no rows of ours or none of libraries."""
    libraries = analysis.study.libraries
    here = set(analysis.of(view)["impl"])
    if not (here & libraries and here - libraries):
        return []
    return [
        Duel(
            analysis,
            place,
            ours=analysis.fastest(row for row in running if row["impl"] not in libraries),
            rival=analysis.fastest(row for row in running if row["impl"] in libraries),
            vendor=analysis.fastest(row for row in running if is_vendor(row["impl"])),
        )
        for place, running in races(analysis, view).values()
    ]


def exceptions(found: Sequence[Duel]) -> list[Duel]:
    """Worst first."""
    return sorted((duel for duel in found if duel.is_exception), key=lambda duel: duel.speed.value if duel.speed else 0)


@dataclass(frozen=True)
class ClassMean:
    """Of one class and pass: geometric mean of ours over the vendor's, over the `n` layer passes that have both."""

    mean: Estimate
    worst: float
    n: int


def by_class(found: Sequence[Duel]) -> dict[str, dict[str, ClassMean]]:
    """By class and pass, of those that have both; then over all classes, as `all`."""
    groups: dict[str, dict[str, list[Duel]]] = {}
    for duel in found:
        if duel.over_vendor:
            for kind in (duel.kind, "all"):
                groups.setdefault(kind, {}).setdefault(duel.place["pass"], []).append(duel)
    return {
        kind: {pass_: _mean(groups[kind][pass_]) for pass_ in PASSES if pass_ in groups[kind]}
        for kind in (*CLASSES, "all")
        if kind in groups
    }


def _mean(group: list[Duel]) -> ClassMean:
    ratios = [duel.over_vendor.value for duel in group if duel.over_vendor]
    mean = Estimate(stats.geometric_mean(ratios))
    pairs = [
        (duel.analysis, duel.ours, duel.vendor) for duel in group if duel.ours is not None and duel.vendor is not None
    ]
    if all(analysis.has_interval([ours, vendor]) for analysis, ours, vendor in pairs):
        logs = [np.log(analysis.draws(vendor) / analysis.draws(ours)) for analysis, ours, vendor in pairs]
        mean = stats.interval_of_draws(mean.value, np.exp(np.mean(logs, axis=0)))
    return ClassMean(mean, min(ratios), len(ratios))
