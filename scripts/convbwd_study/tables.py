# SPDX-License-Identifier: Apache-2.0
"""The tables of a report as plain rows of text, shared by its HTML, Markdown and CSV."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from convbwd_study import answers, words
from convbwd_study.analysis import VENDOR, is_vendor
from convbwd_study.scene import PASS_TITLES
from convbwd_study.stats import Estimate

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from convbwd_study.analysis import Analysis
    from convbwd_study.scene import Scene

RESULT_COLUMNS = [
    *("workload", "layer", "count", "problem", "pass", "threads", "layout", "cache", "batch", "isa_cap", "impl", "isa"),
    *("status", "reason", "seconds", "seconds_lo", "seconds_hi", "n", "gflops", "gflops_lo", "gflops_hi"),
    *("peak_gflops", "peak_fraction", "bandwidth_gbs", "gbs", "intensity", "tensor_bytes", "workspace_bytes"),
    *("error_ratio", "error_rms", "error_bound", "checked", "plan_s", "pack_s", "proof_s", "threaded", "library"),
    *("label", "stages", "noisy", "key", "reproduce"),
]

SHORT = {"data": "dx", "weights": "dw"}
VERDICTS = {
    "clear": "fastest",
    "tie": "tie, within 2 %",
    "open": "cannot be told apart",
    "alone": "alone",
    "none": "no time",
}


@dataclass(frozen=True)
class Cell:
    """What is shown, what it sorts by, and the name of an implementation whose colour it wears."""

    text: str
    sort: float | str | None = None
    impl: str = ""
    code: bool = False

    @property
    def number(self) -> bool:
        return isinstance(self.sort, (int, float))

    @property
    def key(self) -> str:
        """What it sorts by, as text."""
        return f"{self.sort:.6g}" if isinstance(self.sort, (int, float)) else str(self.sort)


@dataclass(frozen=True)
class Table:
    title: str
    columns: Sequence[str]
    rows: list[list[Cell]] = field(default_factory=list)
    note: str = ""
    short: str = ""  # of the title, for a list of contents
    minor: bool = False  # may be folded away when it is long


def number(text: str, value: float) -> Cell:
    """A cell that sorts by its value; what has none comes last."""
    return Cell(text, float(value) if np.isfinite(value) else float("-inf"))


def totals(scene: Scene) -> Table:
    """Network times of every implementation, with and without the first layer's data gradient."""
    reduced = {total.name: total for total in scene.totals[False]}
    rows = []
    for total in scene.totals[True]:
        without, measured = reduced[total.name], total.of - total.missing
        speedup = total.speedup or Estimate(1.0 if total.name == VENDOR else np.nan)
        over = f" over {total.shared} of {total.of}" if total.speedup and total.shared != total.of else ""
        against = "1×" if total.name == VENDOR and not total.speedup else words.times_with_interval(speedup) + over
        rows.append(
            [
                Cell(total.name, total.name, impl=total.name),
                total_time(total.seconds, total.missing),
                number(against, speedup.value),
                number(f"{measured} of {total.of}", measured),
                total_time(without.seconds),
                *(total_time(total.by_pass[name]) for name in PASS_TITLES),
                number(f"{total.single} of {measured}" if total.single else "0", total.single),
            ]
        )
    columns = ["implementation", "backward time", f"× {VENDOR}", "layer passes", "without first dx", "all dx", "all dw"]
    whole = scene.totals[True][0]
    note = (
        f"Sums of medians over {whole.of} layer passes, each as often as it occurs ({whole.executions} executions), "
        "with 95 % intervals unless a row was timed only once. “+ n missing”: layer passes without a time, which are "
        "not in the sum. Ratios are over the layer passes both have."
    )
    vendors = [name for name in scene.here if is_vendor(name)]
    if len(vendors) > 1:
        note += f" × {VENDOR}: the fastest of {words.enumerated(vendors)} on each layer."
    libraries = sorted(scene.analysis.study.libraries & set(scene.here))
    if libraries:
        note += f" Libraries: {words.enumerated(libraries)}."
    return Table("Backward time of the whole network", [*columns, "timed once"], rows, note)


def total_time(seconds: Estimate, missing: int = 0) -> Cell:
    gap = f" + {missing} missing" if missing else ""
    return number(words.duration_with_interval(seconds) + gap, seconds.value)


def winners(scene: Scene) -> Table:
    """Best implementation of each layer and pass."""
    rows = []
    for index, row in enumerate(scene.winners.to_dict("records")):
        leaders = answers.leaders(row)
        second = row["runner_up"] if isinstance(row["runner_up"], str) else ""
        best = f"{leaders[0]}:{row['isa']}" if len(leaders) == 1 else words.one_of(leaders) or words.NONE
        lead = words.times_with_interval(Estimate(row["margin"], row["lo"], row["hi"]))
        rows.append(
            [
                Cell(row["layer"], float(index)),
                number(str(row["count"]), row["count"]),
                Cell(SHORT[row["pass"]]),
                Cell(best, best, impl=leaders[0] if len(leaders) == 1 else ""),
                number(words.duration(row["seconds"]), row["seconds"]),
                number(words.percent(row["peak_fraction"]), row["peak_fraction"]),
                Cell(VERDICTS[row["result"]], row["result"]),
                number(lead, row["margin"]),
                Cell(second, impl=second),
                number(str(row["n"]), row["n"]),
            ]
        )
    columns = ["layer", "occurs", "pass", "best", "time", "of peak", "verdict", "lead", "runner-up", "rounds"]
    note = (
        "Lead: how many times longer the runner-up takes, the median over the rounds that both ran. It decides who "
        "comes first, so the times of two that are level may stand the other way round. Time, share of peak and rounds "
        "are those of the first one named."
    )
    return Table("Best implementation of each layer", columns, rows, note)


def everything(scene: Scene) -> Table:
    """Every row of the view, timed or not."""
    speedups = {(row.race, row.impl): row for row in scene.vendor.itertuples()}
    rows = []
    for index, row in enumerate(scene.rows.to_dict("records")):
        against = speedups.get((row["race"], row["impl"]))
        ratio = words.times_with_interval(Estimate(against.speedup, against.lo, against.hi)) if against else words.NONE
        seconds = Estimate(row["seconds"], row["seconds_lo"], row["seconds_hi"])
        state = {"timed": "", "once": "n = 1"}.get(row["status"], f"{row['status']}: {row['reason']}")
        serial = " (serial)" if row["threads"] > 1 and row["threaded"] == 0 else ""
        rows.append(
            [
                Cell(row["label_of_layer"], float(index)),
                Cell(SHORT[row["pass"]]),
                Cell(row["contender"] + serial, row["contender"], impl=row["impl"]),
                number(words.duration_with_interval(seconds), seconds.value),
                number(str(row["n"]), row["n"]),
                number(words.significant(row["gflops"]), row["gflops"]),
                number(words.percent(row["peak_fraction"]), row["peak_fraction"]),
                number(ratio, against.speedup if against else np.nan),
                number(words.significant(row["gbs"]), row["gbs"]),
                number(words.size(row["workspace_bytes"]), row["workspace_bytes"]),
                number(words.significant(row["error_ratio"], 2), row["error_ratio"]),
                number(words.scientific(row["error_rms"]), row["error_rms"]),
                number(words.scientific(row["error_bound"]), row["error_bound"]),
                Cell(state + (f" noisy: {row['noisy']}" if row["noisy"] else "")),
                Cell(row["label"]),
                Cell(words.reproduce(row), code=True),
            ]
        )
    columns = [
        "layer",
        "pass",
        "implementation",
        "time",
        "rounds",
        "GFLOP/s",
        "of peak",
        f"× {VENDOR}",
        "GB/s",
        "workspace",
    ]
    columns += ["error ÷ allowed", "rms error", "its bound", "remarks", "what ran", "measure it again"]
    return Table("All rows", columns, rows)


def trouble(analysis: Analysis) -> list[Table]:
    """Wrong and failed rows one by one; skipped rows and single runs by reason; noisy cells."""
    rows, found = analysis.best, []
    if analysis.study.failed:
        lines = [[Cell(key), Cell(reason)] for key, reason in analysis.study.failed.items()]
        found.append(Table(f"Cells without a result ({len(lines)})", ["cell", "reason"], lines))
    for status, title in (("wrong", "Wrong: computed something else than the definition"), ("failed", "Failed")):
        bad = analysis.contenders[analysis.contenders["status"] == status]
        lines = [
            [
                *(Cell(row["label_of_layer"]), Cell(row["pass"]), Cell(row["contender"], impl=row["impl"])),
                *(Cell(row["reason"]), Cell(words.reproduce(row), code=True)),
            ]
            for row in bad.to_dict("records")
        ]
        if lines:
            found.append(Table(f"{title} ({len(lines)})", ["layer", "pass", "row", "reason", "see it again"], lines))
    skipped = rows[rows["status"] == "skipped"]
    if len(skipped):
        lines = _grouped(skipped.assign(reason=skipped["reason"].str.replace(r"\d+(\.\d+)? s\b", "… s", regex=True)))
        found.append(
            Table(
                f"Skipped, for a stated reason ({len(skipped)})", ["implementation", "reason", "rows", "layers"], lines
            )
        )
    once = rows[rows["status"] == "once"]
    if len(once):
        why = once.assign(reason=np.where(once["n"] == 1, "one run took so long that it is the only measurement", ""))
        found.append(
            Table(f"Timed once, n = 1 ({len(once)})", ["implementation", "reason", "rows", "layers"], _grouped(why))
        )
    noisy = analysis.study.cells[analysis.study.cells["noisy"] != ""]
    if len(noisy):
        columns = ["workload", "layer", "pass", "threads", "layout", "cache", "noisy"]
        lines = [[Cell(str(value)) for value in line] for line in noisy[columns].itertuples(index=False)]
        found.append(Table(f"Noisy cells ({len(noisy)})", [*columns[:-1], "what changed"], lines, minor=True))
    if analysis.study.unread:
        lines = [[Cell(line)] for line in analysis.study.unread]
        found.append(
            Table(f"Lines of workloads that are not run ({len(lines)})", ["line and reason"], lines, minor=True)
        )
    return found


def _grouped(rows: pd.DataFrame) -> list[list[Cell]]:
    lines = []
    for (impl, reason), group in rows.groupby(["impl", "reason"], sort=False):
        layers = list(dict.fromkeys(group["label_of_layer"]))
        some = ", ".join(layers[:4]) + (f" and {len(layers) - 4} more" if len(layers) > 4 else "")
        lines.append([Cell(impl, impl=impl), Cell(reason), number(str(len(group)), len(group)), Cell(some)])
    return lines


def results(analysis: Analysis) -> pd.DataFrame:
    """results.csv: every contender of every cell, with the command that measures it again."""
    table = analysis.contenders.copy()
    table["stages"] = [words.stages(stages) for stages in table["stages"]]
    table["reproduce"] = [words.reproduce(row) for row in table.to_dict("records")]
    return table[RESULT_COLUMNS]
