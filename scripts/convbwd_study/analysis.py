# SPDX-License-Identifier: Apache-2.0
"""From a study's tables to its answers: best row of each implementation, winners, ratios to the vendor library, totals.

A View is one table of results: a workload under one set of conditions. Where a study ran under several caps on the
instruction set, each implementation is represented by its fastest row over all of them.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from convbwd_study import stats
from convbwd_study.entries import TIMED
from convbwd_study.machine import slug
from convbwd_study.plan import CACHES, LAYOUTS
from convbwd_study.results import RACE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    import pandas as pd
    from numpy.typing import NDArray

    from convbwd_study.results import Study

    Row = Mapping[str, Any]  # one line of `best` or `contenders`

VENDOR = "onednn"
MANY_ROWS = 8  # that ran in enough rounds, for the others to be judged by them
# A row without a time stands for its implementation in this order: the worst news first.
_STATUS_ORDER = {"timed": 0, "once": 0, "wrong": 1, "failed": 2, "skipped": 3}


@dataclass(frozen=True, order=True)
class View:
    """One workload under one set of conditions; batch 0: as each layer says."""

    workload: str
    threads: int
    layout: str
    cache: str
    batch: int = 0

    @property
    def conditions(self) -> str:
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        batch = f"batch {self.batch}, " if self.batch else ""
        return f"{batch}{threads}, {self.layout} layout, {self.cache} cache"

    @property
    def title(self) -> str:
        return f"{self.workload}: {self.conditions}"

    @property
    def slug(self) -> str:
        """For file names; the checksum keeps workloads apart whose names differ only in odd characters."""
        plain = slug(self.workload, longest=40)
        mark = "" if plain == self.workload else f"-{zlib.crc32(self.workload.encode()):08x}"
        batch = f"-b{self.batch}" if self.batch else ""
        return f"{plain}{mark}{batch}-t{self.threads}-{self.layout}-{self.cache}"


class Analysis:
    """Lazily computed tables of one study. `contenders`: one row a cell and contender, with statistics and race number;
    `best`: one row a race and implementation; `implementations`: slowest first, by the geometric
    mean of their shares of each race's best speed, so that tables and bars climb a ladder."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self._samples: dict[str, dict[str, pd.Series]] = {}  # by cell and contender
        for (key, contender), group in study.samples.groupby(["key", "contender"], sort=False):
            self._samples.setdefault(key, {})[contender] = group.set_index("round")["seconds"].sort_index()
        self._ratios: dict[tuple[str, str, str, str], stats.Ratio] = {}
        self.contenders = self._contenders()
        self.implementations = self._ladder()
        self.best = self._best()

    def _contenders(self) -> pd.DataFrame:
        cells = self.study.cells.copy()
        cells["race"] = cells.groupby(RACE, sort=False).ngroup()
        layers = cells.groupby(["workload", "layer"], sort=False)
        several = (layers["batch"].transform("nunique") > 1).groupby(cells["workload"]).transform("any")
        one_batch = cells.groupby("workload")["batch"].transform("nunique") == 1
        cells["view_batch"] = cells["batch"].where(several | one_batch, 0)
        twins = cells.groupby(["workload", "layer", "view_batch"])["problem"].transform("nunique") > 1
        cells["label_of_layer"] = cells["layer"].where(~twins, cells["layer"] + " [" + cells["problem"] + "]")
        cells["layer_rank"] = [self._rank(row.workload, row.layer) for row in cells.itertuples()]
        table = self.study.rows.merge(cells, on="key", how="left", validate="many_to_one")
        untimed = stats.Estimate(stats.NAN)
        estimates = [
            stats.median(times) if (times := self._samples.get(key, {}).get(contender)) is not None else untimed
            for key, contender in zip(table["key"], table["contender"], strict=True)
        ]
        table["seconds"] = [estimate.value for estimate in estimates]
        table["seconds_lo"] = [estimate.lo for estimate in estimates]
        table["seconds_hi"] = [estimate.hi for estimate in estimates]
        work = 2e-9 * table["macs"]
        table["gflops"] = work / table["seconds"]
        table["gflops_lo"] = work / table["seconds_hi"]
        table["gflops_hi"] = work / table["seconds_lo"]
        table["peak_fraction"] = table["gflops"] / table["peak_gflops"]
        table["gbs"] = table["tensor_bytes"] / table["seconds"] * 1e-9
        table["intensity"] = 2 * table["macs"] / table["tensor_bytes"]
        return table

    def _rank(self, workload: str, layer: str) -> int:
        order = self.study.layer_order.get(workload, [])
        return order.index(layer) if layer in order else len(order)

    def _ladder(self) -> list[str]:
        best = self.contenders.groupby("race")["gflops"].transform("max")
        share = np.log(self.contenders["gflops"] / best).groupby(self.contenders["impl"]).mean().fillna(-np.inf)
        return [str(name) for name in share.sort_index().sort_values(kind="stable").index]

    def _best(self) -> pd.DataFrame:
        table = self.contenders.assign(trouble=self.contenders["status"].map(_STATUS_ORDER))
        ranked = table.sort_values(["trouble", "seconds"], kind="stable")
        best = ranked.drop_duplicates(["race", "impl"]).drop(columns="trouble")
        order = {name: rank for rank, name in enumerate(self.implementations)}
        by = best.assign(impl_rank=best["impl"].map(order))
        return by.sort_values(["workload", "layer_rank", "race", "impl_rank"], kind="stable").reset_index(drop=True)

    @cached_property
    def views(self) -> list[View]:
        columns = ["workload", "threads", "layout", "cache", "view_batch"]
        known = {w: i for i, w in enumerate(dict.fromkeys([*self.study.layer_order, *self.best["workload"]]))}
        views = {View(*row) for row in self.best[columns].itertuples(index=False)}

        def rank(view: View) -> tuple[int, ...]:
            return (
                known[view.workload],
                view.batch,
                view.threads,
                LAYOUTS.index(view.layout),
                CACHES.index(view.cache),
            )

        return sorted(views, key=rank)

    def of(self, view: View, table: pd.DataFrame | None = None) -> pd.DataFrame:
        """The rows of a view, of `best` or of another table with its columns."""
        rows = self.best if table is None else table
        same = (rows["workload"] == view.workload) & (rows["view_batch"] == view.batch)
        for column in ("threads", "layout", "cache"):
            same &= rows[column] == getattr(view, column)
        return rows[same]

    def absent(self, view: View) -> pd.DataFrame:
        """Races of a view that were planned and have not been measured under any cap."""
        missing = self.study.missing
        here = missing["workload"] == view.workload
        for column in ("threads", "layout", "cache"):
            here &= missing[column] == getattr(view, column)
        rows = missing[here].drop_duplicates(RACE)
        measured = set(self.of(view)[RACE].itertuples(index=False, name=None))
        return rows[[race not in measured for race in rows[RACE].itertuples(index=False, name=None)]]

    def samples(self, row: Row) -> pd.Series:
        """Seconds per execution by round."""
        times: pd.Series = self._samples[row["key"]][row["contender"]]
        return times

    def ratio(self, a: Row, b: Row) -> stats.Ratio:
        """Time of a over time of b, two timed rows of one race: by rounds if they ran in the same cell. Rows of
        different cells (caps) are joined by the rows present in both, which tell how the machine had changed."""
        identities = (a["key"], a["contender"], b["key"], b["contender"])
        if identities not in self._ratios:
            self._ratios[identities] = self._measured_ratio(*identities)
        return self._ratios[identities]

    def _measured_ratio(self, key_a: str, contender_a: str, key_b: str, contender_b: str) -> stats.Ratio:
        times_a, times_b = self._samples[key_a][contender_a], self._samples[key_b][contender_b]
        if key_a == key_b:
            same = times_a.index.equals(times_b.index)
            both = times_a.index if same else times_a.index.intersection(times_b.index)
            if len(both):
                return stats.paired_ratio(times_a[both], times_b[both])
        return stats.unpaired_ratio(times_a / self._drift(key_a, key_b), times_b)

    def fastest(self, rows: Iterable[Row]) -> Row | None:
        """Of timed rows of one race the one that no other beats by their paired ratio, which is also what is shown as
        its lead and judged by the verdict. Medians may say otherwise where the machine changed its speed meanwhile.
        Where rows beat each other in a circle there is none like that: one of the circle, told from nobody in it."""
        champion: Row | None = None
        for row in sorted(rows, key=lambda row: float(row["seconds"])):
            if champion is None or self.ratio(row, champion).estimate.value < 1:
                champion = row
        return champion

    def _drift(self, key_a: str, key_b: str) -> float:
        """How much longer the same rows took in cell a than in cell b."""
        a, b = self._samples[key_a], self._samples[key_b]
        common = [
            float(np.median(a[contender]) / np.median(b[contender]))
            for contender in a.keys() & b.keys()
            if min(len(a[contender]), len(b[contender])) >= stats.MIN_ROUNDS
        ]
        return stats.geometric_mean(common) if common and key_a != key_b else 1.0

    @cached_property
    def _draws(self) -> dict[tuple[str, str], NDArray[np.float64]]:
        draws: dict[tuple[str, str], NDArray[np.float64]] = {}
        for key, contenders in self._samples.items():
            medians = stats.resampled_medians(list(contenders.values()), zlib.crc32(key.encode()))
            for (name, times), drawn in zip(contenders.items(), medians, strict=True):
                few = 1 < len(times) < stats.MIN_ROUNDS and np.isfinite(self.usual_scatter)
                seed = zlib.crc32(f"{key} {name}".encode())
                draws[key, name] = stats.drawn_medians(times, self.usual_scatter, seed) if few else drawn
        return draws

    def draws(self, row: Row) -> NDArray[np.float64]:
        """Medians of a timed row as they might have come out, in step with those of its cell."""
        return self._draws[(row["key"], row["contender"])]

    @cached_property
    def usual_scatter(self) -> float:
        """Three of four rows that ran in enough rounds scatter less; NaN if hardly any did."""
        contenders = [times for cell in self._samples.values() for times in cell.values()]
        found = [stats.scatter(times) for times in contenders if len(times) >= stats.MIN_ROUNDS]
        return float(np.quantile(found, 0.75)) if len(found) >= MANY_ROWS else stats.NAN

    def has_interval(self, rows: Iterable[Row]) -> bool:
        """Whether a sum over these rows can have one: none was timed by a single run only."""
        fewest = min((int(row["n"]) for row in rows), default=0)
        return fewest >= stats.MIN_ROUNDS or (fewest > 1 and bool(np.isfinite(self.usual_scatter)))


def is_vendor(impl: str) -> bool:
    """The vendor's library may have several rows, such as `onednn` and `onednn_best`: the fastest one counts."""
    return impl == VENDOR or impl.startswith(f"{VENDOR}_")


def timed(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows["status"].isin(TIMED)]
