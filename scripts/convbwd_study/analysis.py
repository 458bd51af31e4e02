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
from convbwd_study.machine import slug
from convbwd_study.plan import CACHES, LAYOUTS
from convbwd_study.results import RACE, TIMED

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    import pandas as pd
    from numpy.typing import NDArray

    from convbwd_study.results import Study

    Row = Mapping[str, Any]  # one line of `best` or `contenders`

VENDOR = "onednn"
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
        self._samples: dict[tuple[str, str], pd.Series] = {
            identity: group.set_index("round")["seconds"].sort_index()
            for identity, group in study.samples.groupby(["key", "contender"], sort=False)
        }
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
        estimates = [
            stats.median(self._samples[identity]) if identity in self._samples else stats.Estimate(stats.NAN)
            for identity in zip(table["key"], table["contender"], strict=True)
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
        return self._samples[(row["key"], row["contender"])]

    def ratio(self, a: Row, b: Row) -> stats.Ratio:
        """Time of a over time of b, two timed rows of one race: by rounds if they ran in the same cell. Rows of
        different cells (caps) are joined by the rows present in both, which tell how the machine had changed."""
        times_a, times_b = self.samples(a), self.samples(b)
        if a["key"] == b["key"]:
            both = times_a.index.intersection(times_b.index)
            if len(both):
                return stats.paired_ratio(times_a[both], times_b[both])
        return stats.unpaired_ratio(times_a / self._drift(a["key"], b["key"]), times_b)

    def _drift(self, key_a: str, key_b: str) -> float:
        """How much longer the same rows took in cell a than in cell b."""
        common = [
            float(np.median(times) / np.median(self._samples[(key_b, contender)]))
            for (key, contender), times in self._samples.items()
            if key == key_a and (key_b, contender) in self._samples and len(times) >= stats.MIN_ROUNDS
        ]
        return stats.geometric_mean(common) if common and key_a != key_b else 1.0

    @cached_property
    def _draws(self) -> dict[tuple[str, str], NDArray[np.float64]]:
        draws: dict[tuple[str, str], NDArray[np.float64]] = {}
        by_cell: dict[str, list[str]] = {}
        for key, contender in self._samples:
            by_cell.setdefault(key, []).append(contender)
        for key, contenders in by_cell.items():
            medians = stats.resampled_medians(
                [self._samples[(key, name)] for name in contenders], zlib.crc32(key.encode())
            )
            draws |= {(key, name): row for name, row in zip(contenders, medians, strict=True)}
        return draws

    def draws(self, row: Row) -> NDArray[np.float64]:
        """Bootstrap medians of a timed row, in step with those of its cell."""
        return self._draws[(row["key"], row["contender"])]


def timed(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows["status"].isin(TIMED)]
