# SPDX-License-Identifier: Apache-2.0
"""Which cells ran on a machine that was not itself? One judgement, for who measures and for who reads.

A cell compares its beginning with its end only. A machine that is slow all the time (two virtual CPUs that had to share
a core, say) is seen by comparing cells.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

LEAST_PEAK = 0.95  # of the best peak of the same threads and cap: below, a cell is noisy

Conditions = tuple[int, str]


@dataclass(frozen=True)
class Measured:
    """The machine as one cell saw it. `peak`: multiply-adds in GFLOP/s, NaN if not measured; `noisy`: what the cell
    itself says of its beginning and its end, or nothing."""

    threads: int
    isa_cap: str
    peak: float
    noisy: str

    @property
    def conditions(self) -> Conditions:
        return self.threads, self.isa_cap


def best_peaks(cells: Iterable[Measured]) -> dict[Conditions, float]:
    best: dict[Conditions, float] = {}
    for cell in cells:
        best[cell.conditions] = max(best.get(cell.conditions, 0.0), cell.peak)
    return best


def noise(cell: Measured, best: Mapping[Conditions, float]) -> str:
    """Why a cell is noisy beside others of its conditions, or nothing."""
    whole = best[cell.conditions]
    if cell.noisy or not cell.peak < LEAST_PEAK * whole:
        return cell.noisy
    return f"the multiply-add peak was {cell.peak:.0f} GFLOP/s, {whole:.0f} in other cells"


def quieter(one: Measured, other: Measured, best: Mapping[Conditions, float]) -> bool:
    """Had `one` more of its machine? Of two noisy cells, the one with the higher peak."""
    quiet, other_quiet = not noise(one, best), not noise(other, best)
    return quiet if quiet != other_quiet else one.peak > other.peak
