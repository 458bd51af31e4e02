# SPDX-License-Identifier: Apache-2.0
"""Numbers and names as people read them, and text made harmless for the file it goes into."""

from __future__ import annotations

import math
import re
import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from convbwd_study.stats import Estimate

NONE = "–"
SECONDS = (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9))


def significant(value: float, digits: int = 3) -> str:
    """`0.0123`, `1.23`, `123`, `12300`: never in powers of ten."""
    if not math.isfinite(value):
        return NONE
    if value == 0:
        return "0"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:.{min(decimals, 9)}f}"


def scientific(value: float) -> str:
    """`3.1e-07`."""
    return f"{value:.1e}" if math.isfinite(value) else NONE


def stages(found: object) -> str:
    """`image transform: 1.23 ms, products: 4.56 ms`; nothing for a row without stages."""
    return ", ".join(f"{name}: {duration(seconds)}" for name, seconds in found) if isinstance(found, tuple) else ""


def duration(seconds: float) -> str:
    if not math.isfinite(seconds):
        return NONE
    unit, size_ = next(((unit, size_) for unit, size_ in SECONDS if seconds >= size_), SECONDS[-1])
    return f"{significant(seconds / size_)} {unit}"


def size(number: float) -> str:
    if not math.isfinite(number):
        return NONE
    for unit, bytes_ in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if number >= bytes_:
            return f"{significant(number / bytes_)} {unit}"
    return f"{number:.0f} B"


def percent(fraction: float) -> str:
    return f"{fraction:.0%}" if math.isfinite(fraction) and fraction >= 0.095 else _small_percent(fraction)


def _small_percent(fraction: float) -> str:
    return f"{fraction:.1%}" if math.isfinite(fraction) else NONE


def times(ratio: float) -> str:
    return f"{significant(ratio)}×" if math.isfinite(ratio) else NONE


def _digits(estimate: Estimate) -> int:
    """As many as it takes, within reason, for the ends of the interval to look different."""
    return next((n for n in (3, 4, 5) if significant(estimate.lo, n) != significant(estimate.hi, n)), 3)


def interval(estimate: Estimate) -> str:
    """`(1.09–1.13)`, or nothing."""
    if not estimate.has_interval:
        return ""
    digits = _digits(estimate)
    return f"({significant(estimate.lo, digits)}–{significant(estimate.hi, digits)})"


def number_with_interval(ratio: Estimate) -> tuple[str, str]:
    """`1.107` and `(1.105–1.109)`, or nothing."""
    return significant(ratio.value, _digits(ratio) if ratio.has_interval else 3), interval(ratio)


def times_with_interval(ratio: Estimate) -> str:
    """`1.107× (1.105–1.109)`."""
    number, bounds = number_with_interval(ratio)
    return f"{number}× {bounds}".rstrip() if number != NONE else NONE


def duration_with_interval(seconds: Estimate) -> str:
    """`1.311 s (1.308–1.313)`, all in one unit."""
    if not seconds.has_interval or not seconds.value > 0:
        return duration(seconds.value)
    unit, size_ = next(((unit, size_) for unit, size_ in SECONDS if seconds.value >= size_), SECONDS[-1])
    scaled = type(seconds)(seconds.value / size_, seconds.lo / size_, seconds.hi / size_)
    return f"{significant(scaled.value, _digits(scaled))} {unit} {interval(scaled)}"


def counted(number: int, one: str, many: str | None = None) -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def enumerated(items: list[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}" if items else ""


def one_of(items: list[str], most: int = 3) -> str:
    """`a, b or c`; of more than `most`, `a, b, c or 2 more`."""
    named = items if len(items) <= most else [*items[:most], f"{len(items) - most} more"]
    return " or ".join([", ".join(named[:-1]), named[-1]]) if len(named) > 1 else "".join(named)


def markdown(text: object) -> str:
    """Plain text inside a line or a table cell of Markdown."""
    line = re.sub(r"\s+", " ", str(text)).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    line = re.sub(r"[\\`*\[\]|~$]|(?<!\w)_|_(?!\w)|^[-+#=]", lambda found: "\\" + found[0], line)
    return re.sub(r"(https?|www)([:.])", lambda found: f"{found[1]}&#{ord(found[2])};", line)  # no links of its own


def spreadsheet(table: pd.DataFrame) -> pd.DataFrame:
    """A copy whose texts no spreadsheet takes for a formula."""
    safe = table.copy()
    for column in safe.columns:
        if safe[column].map(lambda value: isinstance(value, str)).any():
            safe[column] = safe[column].map(_not_a_formula)
    return safe


def _not_a_formula(value: object) -> object:
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return "'" + value
    return value


def reproduce(row: Mapping[str, object]) -> str:
    """The command that measures one row again."""
    options = {
        "problem": row["problem"],
        "pass": row["pass"],
        "impl": row["contender"],
        "isa": row["isa_cap"],
        "layout": row["layout"],
        "cache": row["cache"],
        "threads": row["threads"],
    }
    words = [f"--{name}={value}" for name, value in options.items()]
    return shlex.join(["convbwd_bench", *words, "--rounds=10"])
