# SPDX-License-Identifier: Apache-2.0
"""The questions a study answers for one view: who wins each layer, how far from the vendor library, and the network."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from convbwd_study import stats
from convbwd_study.analysis import VENDOR, Analysis, View, is_vendor
from convbwd_study.entries import TIMED
from convbwd_study.plan import PASSES
from convbwd_study.stats import Estimate

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from convbwd_study.analysis import Row

BEST = "best of each layer"
BEST_OWN = "best of each layer, libraries aside"
BEST_LIBRARY = "best of each layer, libraries only"
BEST_OF = (BEST, BEST_OWN, BEST_LIBRARY)

WINNER_COLUMNS = [
    *("race", "layer", "pass", "impl", "isa", "count", "layer_rank", "seconds", "gflops", "peak_fraction"),
    *("result", "margin", "lo", "hi", "runner_up", "close", "noisy", "n"),
]
VENDOR_COLUMNS = [
    "race",
    "layer",
    "pass",
    "layer_rank",
    "impl",
    "speedup",
    "lo",
    "hi",
    "verdict",
    "n",
    "status",
    "reason",
]


def winners(analysis: Analysis, view: View) -> pd.DataFrame:
    """One row a race. `result`: `clear`, the winner is faster than every rival; `tie`, it is not slower than those in
    `close`, within 2 %; `open`, too few or too scattered rounds to tell from those in `close`; `alone`; or `none`.
    `margin`: time of the runner-up over the winner's, never below 1.

    A clear winner has passed the test against every rival, so many rivals make the claim harder, never easier.
    """
    found = []
    for race, (first, running) in races(analysis, view).items():
        row = {column: first[column] for column in ("pass", "count", "layer_rank", "noisy", "n")}
        row |= {"race": race, "layer": first["label_of_layer"], "result": "none", "close": [], "margin": stats.NAN}
        if best := analysis.fastest(running):
            row |= {column: best[column] for column in ("impl", "isa", "seconds", "gflops", "peak_fraction", "n")}
            row |= _lead(analysis, best, [rival for rival in running if rival["impl"] != best["impl"]])
        found.append(row)
    table = pd.DataFrame(found, columns=WINNER_COLUMNS)
    return table.sort_values(["layer_rank", "race"], kind="stable").reset_index(drop=True)


def leaders(winner: Row) -> list[str]:
    """Of one row of `winners`, who may be the fastest: one, several that cannot be told apart, or nobody."""
    return [] if winner["result"] == "none" else [winner["impl"], *winner["close"]]


def _lead(analysis: Analysis, best: Row, rivals: list[Row]) -> dict[str, object]:
    """How a winner stands against the others: all of it from the same paired ratios."""
    if not rivals:
        return {"result": "alone"}
    behind = {str(rival["impl"]): analysis.ratio(rival, best) for rival in rivals}
    nearest = dict(sorted(behind.items(), key=lambda item: item[1].estimate.value))
    close = [name for name, ratio in nearest.items() if ratio.verdict != "slower"]
    undecided = any(behind[name].verdict == "not enough data" for name in close)
    found: dict[str, object] = {"close": close, "result": "open" if undecided else "tie" if close else "clear"}
    second, lead = next((name, ratio.estimate) for name, ratio in nearest.items())
    if lead.value >= 1:  # else they beat each other in a circle
        found |= {"runner_up": second, "margin": lead.value, "lo": lead.lo, "hi": lead.hi}
    return found


def races(analysis: Analysis, view: View) -> dict[int, tuple[Row, list[Row]]]:
    """For each race any row of it, which tells the layer, and the rows that have a time."""
    races: dict[int, tuple[Row, list[Row]]] = {}
    for row in analysis.of(view).to_dict("records"):
        _, running = races.setdefault(row["race"], (row, []))
        if row["status"] in TIMED:
            running.append(row)
    return races


def against_vendor(analysis: Analysis, view: View) -> pd.DataFrame:
    """How many times faster than the vendor library each row is, with its interval; empty where that has no time."""
    found = []
    rows = analysis.of(view)
    several = sum(map(is_vendor, rows["impl"].unique())) > 1
    references = {
        race: analysis.fastest(row for row in running if is_vendor(row["impl"]))
        for race, (_, running) in races(analysis, view).items()
    }
    for row in rows.to_dict("records"):
        if is_vendor(row["impl"]) and not several:
            continue
        entry = {column: row[column] for column in ("race", "pass", "layer_rank", "impl", "n", "status", "reason")}
        entry |= {"layer": row["label_of_layer"], "verdict": ""}
        reference = references[row["race"]]
        if reference is not None and row["status"] in TIMED:
            ratio = analysis.ratio(row, reference)
            speedup = ratio.estimate.inverse()
            entry |= {"speedup": speedup.value, "lo": speedup.lo, "hi": speedup.hi, "verdict": ratio.verdict}
        found.append(entry)
    return pd.DataFrame(found, columns=VENDOR_COLUMNS)


@dataclass(frozen=True)
class Total:
    """Backward time of a whole network with one implementation. `missing`: layer passes without a time, which are not
    in the sum; `single`: those timed once; `speedup`: vendor's time over this one's, over the `shared` layer passes
    that both have (`of` in all, which occur `executions` times). `draws`: sums as they might have come out, in step
    with those of other totals."""

    name: str
    first_layer: bool  # whether the data gradient of the network's first layer is in it
    seconds: Estimate
    by_pass: dict[str, Estimate]
    missing: int
    single: int
    speedup: Estimate | None
    shared: int
    of: int
    executions: int
    draws: NDArray[np.float64] = field(repr=False, compare=False)

    def over(self, other: Total) -> Estimate:
        """This total over another of the same layer passes."""
        value = self.seconds.value / other.seconds.value
        if not (self.seconds.has_interval and other.seconds.has_interval):
            return Estimate(value)
        return stats.interval_of_draws(value, self.draws / other.draws)


@dataclass(frozen=True)
class _Term:
    """One layer pass in a sum: how often it occurs, and the row that computes it, if there is one."""

    weight: int
    pass_: str
    row: Row | None


def totals(analysis: Analysis, view: View, first_layer: bool = True) -> list[Total]:
    """Each implementation's, the best of each layer's, and the latter's without libraries and with nothing else.
    Fewest missing layers first, then fastest."""
    raced = races(analysis, view)
    first = first_of(analysis, view)
    choices = _choices(analysis, view)

    def term(place: Row, row: Row | None) -> _Term:
        unneeded = not first_layer and place["pass"] == "data" and place["layer"] == first
        return _Term(int(place["count"]) - unneeded, str(place["pass"]), row)

    def terms(choose: Callable[[str], bool]) -> list[_Term]:
        measured = [
            term(place, analysis.fastest(row for row in running if choose(row["impl"])))
            for place, running in raced.values()
        ]
        return measured + [term(place, None) for place in analysis.absent(view).to_dict("records")]

    vendor = terms(is_vendor)
    found = [_total(analysis, name, first_layer, terms(choose), vendor) for name, choose in choices.items()]
    return sorted(found, key=lambda total: (total.missing, total.seconds.value))


def _choices(analysis: Analysis, view: View) -> dict[str, Callable[[str], bool]]:
    """By the name of a total, which implementations it may take a layer's time from."""
    here, libraries = set(analysis.of(view)["impl"]), analysis.study.libraries
    choices: dict[str, Callable[[str], bool]] = {BEST: lambda _: True}
    if here - libraries and here & libraries:
        choices[BEST_OWN] = lambda impl: impl not in libraries
    if here - libraries and len(here & libraries) > 1:
        choices[BEST_LIBRARY] = lambda impl: impl in libraries
    return choices | {name: partial(str.__eq__, name) for name in analysis.implementations if name in here}


def first_of(analysis: Analysis, view: View) -> str:
    """The layer that reads the images, whose data gradient nobody needs."""
    order = analysis.study.layer_order.get(view.workload)
    return order[0] if order else str(analysis.of(view)["layer"].iloc[0])


def _total(analysis: Analysis, name: str, first_layer: bool, terms: list[_Term], vendor: list[_Term]) -> Total:
    needed = [term for term in terms if term.weight]
    present = [term for term in needed if term.row is not None]
    pairs = [
        (mine, theirs)
        for mine, theirs in zip(terms, vendor, strict=False)
        if mine.weight and mine.row is not None and theirs.row is not None
    ]
    mine, mine_draws = _sum(analysis, [pair[0] for pair in pairs])
    theirs, their_draws = _sum(analysis, [pair[1] for pair in pairs])
    value, draws = _sum(analysis, present)

    def part(pass_: str) -> Estimate:
        some = [term for term in present if term.pass_ == pass_]
        return _estimate(analysis, *_sum(analysis, some), some)

    speedup = None
    if pairs and any(mine.row is not theirs.row or name != VENDOR for mine, theirs in pairs):
        terms_of_both = [term for pair in pairs for term in pair]
        speedup = _estimate(analysis, theirs / mine, their_draws / mine_draws, terms_of_both)
    return Total(
        name=name,
        first_layer=first_layer,
        seconds=_estimate(analysis, value, draws, present),
        by_pass={pass_: part(pass_) for pass_ in PASSES},
        missing=len(needed) - len(present),
        single=sum(1 for term in present if term.row is not None and term.row["n"] == 1),
        speedup=speedup,
        shared=len(pairs),
        of=len(needed),
        executions=sum(term.weight for term in needed),
        draws=draws,
    )


def _sum(analysis: Analysis, terms: list[_Term]) -> tuple[float, NDArray[np.float64]]:
    rows = [(term.weight, term.row) for term in terms if term.row is not None]
    draws = np.zeros(stats.RESAMPLES)
    for weight, row in rows:
        draws += weight * analysis.draws(row)
    return float(sum(weight * row["seconds"] for weight, row in rows)) if rows else stats.NAN, draws


def _estimate(analysis: Analysis, value: float, draws: NDArray[np.float64], terms: list[_Term]) -> Estimate:
    """With an interval unless a term was timed only once."""
    if not analysis.has_interval(term.row for term in terms if term.row is not None):
        return Estimate(value)
    return stats.interval_of_draws(value, draws)
