# SPDX-License-Identifier: Apache-2.0
"""How long each cell may take."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from convbwd_study.plan import Cell

SECONDS_A_CELL = 7.0  # without a --budget; ResNet-50's 46 cells then take under six minutes
SLOW_ROWS = 3  # of a cell, that may each take a whole share_of_row
LEAST_ROW_SECONDS = 0.2
RESERVE = 0.1  # of the budget, for noisy cells


@dataclass(frozen=True)
class Share:
    """`cell`: seconds for all of it. `row`: a row predicted to need longer for one execution is skipped."""

    cell: float
    row: float


class Budget:
    """Shares `total` seconds among all cells of a study, of which `remaining` are still to run.

    - A tenth is kept back for cells that turn out noisy: these run once more at the end, in what is then left of the
      whole. The rest is for all cells alike.
    - A cell weighs its multiply-adds: half of the time is shared evenly, half by multiply-adds. A study that is
      gone on with gets the part of the budget that its remaining cells weigh.
    - The share of a cell is its weight's part of what is left *now*, so that cells which took longer are paid for by
      the later ones, and cells which took less leave them more. It never falls below half of what was planned: late
      cells keep the rows that early ones have.
    - The share pays for everything: planning, proof and one execution of slow rows first, rounds of timing with the
      rest. The program that measures knows what came before the rounds, and sees to that.
    - A row whose one execution is predicted over a third of the share is skipped with that reason: slow rows come in
      threes at most (the definition, its literal relatives), and together fill the share.
    - The budget is a plan, not an axe: a third of its share is for a cell's rounds, whatever was spent before them. So
      a study may exceed its budget: by proofs that take more than two thirds of a share, and by rows that hang.
    """

    def __init__(
        self,
        total: float | None,
        cells: Iterable[Cell],
        remaining: Iterable[Cell],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        cells = list(cells)
        mean = sum(cell.macs for cell in cells) / len(cells) or 1.0
        self._weights = {cell.key: 1 + cell.macs / mean for cell in cells}
        self._left = {cell.key for cell in remaining}
        whole = total or SECONDS_A_CELL * len(cells)
        self._clock = clock
        self._start = clock()
        self._planned = (1 - RESERVE) * whole / sum(self._weights.values())  # seconds for a weight of one
        self._end = self._start + self._planned * self._weight_left()
        self._very_end = self._start + self._planned * self._weight_left() / (1 - RESERVE)
        self._last_finish = self._start
        self._weight_done = self._spent = 0.0

    def share(self, cell: Cell) -> Share:
        weight = self._weights[cell.key]
        left = max(0.0, self._end - self._clock()) * weight / self._weight_left()
        share = max(left, self._planned * weight / 2)
        return Share(cell=share, row=max(LEAST_ROW_SECONDS, share / SLOW_ROWS))

    def finished(self, cell: Cell, seconds: float) -> None:
        self._left.discard(cell.key)
        self._weight_done += self._weights[cell.key]
        self._spent += seconds
        self._last_finish = self._clock()

    def again(self, cells: Iterable[Cell]) -> list[Cell]:
        """Those of the finished `cells`, in order, for which there is time to run once more as planned; they count
        as unfinished from now on."""
        now = self._clock()
        left = self._very_end - now
        chosen = []
        for cell in cells:
            if (planned := self._planned * self._weights[cell.key]) <= left:
                chosen.append(cell)
                left -= planned
        self._left = {cell.key for cell in chosen}
        self._end = now + self._planned * self._weight_left()
        return chosen

    def seconds_to_go(self) -> float:
        """Measured on the finished cells; before there are any, as planned."""
        if not self._weight_done:
            return max(0.0, self._end - self._clock())
        running = self._clock() - self._last_finish
        return max(0.0, self._spent / self._weight_done * self._weight_left() - running)

    def _weight_left(self) -> float:
        return sum(self._weights[key] for key in self._left)
