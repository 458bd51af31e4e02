# SPDX-License-Identifier: Apache-2.0
"""Tables of our own rows against the libraries': the exceptions, and classes of layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convbwd_study import rivals, words
from convbwd_study.analysis import VENDOR
from convbwd_study.tables import SHORT, Cell, Table, number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convbwd_study.analysis import Row
    from convbwd_study.rivals import Duel
    from convbwd_study.scene import Scene


def exceptions(scene: Scene) -> Table:
    """Every layer pass on which our best row is too far behind the best library, worst first."""
    found = rivals.exceptions(scene.duels)
    rows = []
    for index, duel in enumerate(found):
        ours, rival, speed = duel.ours, duel.rival, duel.speed
        assert rival is not None
        lost = (ours["seconds"] - rival["seconds"]) * duel.place["count"] if ours is not None else float("nan")
        rows.append(
            [
                Cell(duel.place["label_of_layer"], float(index)),
                Cell(SHORT[duel.place["pass"]]),
                Cell(duel.kind),
                _who(ours),
                _who(rival),
                number(words.times_with_interval(speed) if speed else words.NONE, speed.value if speed else 0.0),
                Cell("yes" if duel.is_certain else "no"),
                number(words.duration(lost), lost),
                *(_peak(row) for row in (ours, rival)),
            ]
        )
    columns = ["layer", "pass", "class", "our best", "best other", "ratio", "certain", "time lost"]
    title = f"Exceptions: layers on which our best row is slower than {rivals.LEAST}× the best other"
    passes = words.counted(len(scene.duels), "layer pass", "layer passes")
    certain = sum(duel.is_certain for duel in found)
    note = (
        f"{len(found)} of {passes}, {certain} of them for certain: the whole interval lies below {rivals.LEAST}. Ours "
        "is every row that does not call itself a library. The ratio is speed over speed, taken within rounds; time "
        "lost is what ours takes longer in one pass through the network."
        if found
        else f"None of {passes}: our best row reaches {rivals.LEAST}× the best other, or has no rival with a time."
    )
    return Table(title, [*columns, "ours, of peak", "other, of peak"], rows, note, f"Exceptions ({len(found)})")


def _who(row: Row | None) -> Cell:
    return Cell(str(row["contender"]), str(row["contender"]), impl=row["impl"]) if row is not None else Cell("no time")


def _peak(row: Row | None) -> Cell:
    fraction = float(row["peak_fraction"]) if row is not None else float("nan")
    return number(words.percent(fraction), fraction)


def classes(found: Sequence[Duel]) -> Table:
    """Geometric means of ours over the vendor's, by class of layer."""
    rows = []
    for index, (kind, passes) in enumerate(rivals.by_class(found).items()):
        cells = [Cell(kind, float(index))]
        for pass_ in SHORT:
            if mean := passes.get(pass_):
                cells.append(number(str(mean.n), mean.n))
                cells.append(number(words.times_with_interval(mean.mean), mean.mean.value))
                cells.append(number(words.times(mean.worst), mean.worst))
            else:
                cells += [number("0", 0), *[number(words.NONE, float("nan"))] * 2]
        rows.append(cells)
    columns = [f"{short}: {what}" for short in SHORT.values() for what in ("layers", f"ours ÷ {VENDOR}", "worst")]
    note = (
        f"How many times as fast our best row is as the fastest row of {VENDOR}: geometric mean over the layers of a "
        "class, every layer counted once, and the worst of them. A layer is in the first class that fits of depthwise, "
        "grouped, stem, dilated, strided, 1×1, 3×3."
    )
    return Table(f"Our best against {VENDOR}, by class of layer", ["class", *columns], rows, note)
