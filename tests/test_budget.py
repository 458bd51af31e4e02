# SPDX-License-Identifier: Apache-2.0
"""How the time of a study is shared among its cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from convbwd_study import plan
from convbwd_study.budget import LEAST_ROW_SECONDS, RESERVE, SECONDS_A_CELL, Budget

if TYPE_CHECKING:
    from collections.abc import Callable


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def cells_of(*macs: float) -> list[plan.Cell]:
    axes: dict[str, Any] = {"count": 1, "layout": "native", "cache": "warm", "threads": 1, "isa_cap": "avx2"}
    names: dict[str, Any] = {"workload": "w", "problem": "p", "source": "w", "pass_": "data", "label": ""}
    return [plan.Cell(key=str(i), layer=str(i), macs=each, **axes, **names) for i, each in enumerate(macs)]


def simulated(total: float | None, cells: list[plan.Cell], cost: Callable[[plan.Cell], float]) -> tuple[float, Budget]:
    """Seconds that a study takes whose cells need `cost` before their rounds, and one round of 0.5 s; as the program
    that measures does it, rounds have the rest of the share, and a third of it at least."""
    clock = Clock()
    budget = Budget(total, cells, cells, clock)
    for cell in cells:
        share = budget.share(cell)
        assert share.row >= LEAST_ROW_SECONDS
        seconds = cost(cell) + max(0.5, share.cell - cost(cell), share.cell / 3)
        clock.now += seconds
        budget.finished(cell, seconds)
    return clock.now - 100, budget


def test_the_budget_is_used_and_not_exceeded() -> None:
    cells = cells_of(*(10.0 + i % 5 for i in range(46)))
    for cost in (0.1, 1.0, 4.0):
        spent, _ = simulated(300, cells, lambda _, cost=cost: cost)  # type: ignore[misc]
        assert 255 <= spent <= 280
    spent, _ = simulated(300, cells, lambda cell: cell.macs * 0.3)
    assert 255 <= spent <= 300


def test_without_a_budget_resnet50_leaves_room_for_its_report_in_six_minutes() -> None:
    spent, _ = simulated(None, cells_of(*[10.0] * 46), lambda _: 2.0)
    assert spent == pytest.approx((1 - RESERVE) * 46 * SECONDS_A_CELL, rel=0.05)
    assert 46 * SECONDS_A_CELL < 345, "with all noisy cells that the reserve has time for"


def test_a_budget_too_small_costs_one_round_a_cell() -> None:
    spent, _ = simulated(1, cells_of(*[10.0] * 20), lambda _: 0.1)
    assert spent == pytest.approx(20 * 0.6, rel=0.05)


def test_late_cells_keep_rows_that_early_ones_had() -> None:
    cells, clock = cells_of(*[10.0] * 10), Clock()
    budget = Budget(60, cells, cells, clock)
    early = budget.share(cells[0])
    clock.now += 1000
    budget.finished(cells[0], 1000)
    late = budget.share(cells[1])
    assert late.cell == pytest.approx(early.cell / 2)
    assert late.row == pytest.approx(early.row / 2)


def test_larger_cells_get_more() -> None:
    cells = cells_of(1.0, 9.0)
    budget = Budget(60, cells, cells, Clock())
    small, large = budget.share(cells[0]), budget.share(cells[1])
    assert small.cell + large.cell == pytest.approx(60 * (1 - RESERVE))
    assert large.row == pytest.approx(small.row * (1 + 9 / 5) / (1 + 1 / 5))
    assert small.row * 3 == pytest.approx(small.cell)


def test_a_study_gone_on_with_gets_the_rest_of_its_budget() -> None:
    cells = cells_of(*[10.0] * 10)
    budget = Budget(100, cells, cells[7:], Clock())
    assert budget.seconds_to_go() == pytest.approx(30 * (1 - RESERVE))


def test_the_time_to_go_is_measured() -> None:
    cells, clock = cells_of(*[10.0] * 4), Clock()
    budget = Budget(40, cells, cells, clock)
    assert budget.seconds_to_go() == pytest.approx(40 * (1 - RESERVE))
    clock.now += 20
    budget.finished(cells[0], 20)
    assert budget.seconds_to_go() == pytest.approx(60)
    clock.now += 5
    assert budget.seconds_to_go() == pytest.approx(55)


def test_noisy_cells_run_again_in_what_is_left() -> None:
    cells, clock = cells_of(*[10.0] * 10), Clock()
    budget = Budget(100, cells, cells, clock)
    for cell in cells:
        clock.now += 8.5
        budget.finished(cell, 8.5)
    assert budget.again(cells) == cells[:1], "15 s are left, and 9 s were planned for each"
    assert budget.seconds_to_go() == pytest.approx(8.5)
    assert budget.share(cells[0]).cell == pytest.approx(9)
    clock.now += 8.5
    budget.finished(cells[0], 8.5)
    assert budget.again(cells[1:]) == []
