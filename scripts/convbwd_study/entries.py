# SPDX-License-Identifier: Apache-2.0
"""The entries of one cell's document, Google Benchmark's list of measurements, as rows and samples of a study."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from convbwd_study.documents import Fields

SECONDS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}
STATUS_OF_PREFIX = {"skip: ": "skipped", "wrong: ": "wrong", "failed: ": "failed"}
TIMED = ("timed", "once")
LIBRARIES_OF_OLDER_DOCUMENTS = ("im2col_blas", "onednn")  # those that have no counter `library`
COUNTERS = [
    *("tensor_bytes", "workspace_bytes", "error_ratio", "error_rms", "error_bound", "checked"),
    *("plan_s", "pack_s", "proof_s", "threaded"),
]
STAGE = "stage:"  # before the name of a stage, in that of the counter with its seconds
MAX_STAGES = 16


def add_entries(
    key: str,
    cell: dict[str, object],
    document: Fields,
    rows: list[dict[str, object]],
    samples: list[dict[str, object]],
) -> None:
    """The entries of one document: a row for each contender, a sample for each of its rounds."""
    found: dict[str, dict[str, object]] = {}
    seen: set[tuple[str, int]] = set()
    rounds: Counter[str] = Counter()
    for entry in document.objects("benchmarks"):
        if entry.text("run_type", default="iteration") != "iteration":
            continue  # Google Benchmark's own aggregates
        impl, isa = _contender(entry, cell)
        contender = f"{impl}:{isa}"
        row: dict[str, object] = {
            "key": key,
            "contender": contender,
            "impl": impl,
            "isa": isa,
            "reason": "",
            "label": "",
            "library": _is_library(entry, impl),
        }
        if entry.flag("error_occurred"):
            message = entry.text("error_message")
            prefix = next((start for start in STATUS_OF_PREFIX if message.startswith(start)), None)
            if prefix is None:
                entry.refuse("error_message", f"expected it to begin with one of {', '.join(STATUS_OF_PREFIX)}")
            if contender in found:
                entry.refuse("name", f"{contender} has an error entry beside others")
            found[contender] = row | {"status": STATUS_OF_PREFIX[prefix], "reason": message[len(prefix) :].strip()}
            continue
        round_ = entry.whole("round", default=entry.whole("repetition_index", default=0))
        if (contender, round_) in seen:
            entry.refuse("round", f"{contender} has round {round_} twice")
        seen.add((contender, round_))
        if contender in found and found[contender]["status"] not in TIMED:
            entry.refuse("name", f"{contender} has a time beside an error entry")
        if contender not in found:
            found[contender] = row | {"status": "timed", "label": entry.text("label", default="")}
            found[contender] |= {name: entry.number(name) for name in COUNTERS if name in entry}
            found[contender]["stages"] = _stages(entry)
        rounds[contender] += 1
        unit = entry.text("time_unit", allowed=tuple(SECONDS))
        seconds = entry.number("real_time") * SECONDS[unit]
        if not seconds > 0:
            entry.refuse("real_time", "expected more than 0")
        samples.append(
            {
                "key": key,
                "contender": contender,
                "round": round_,
                "sequence": entry.whole("sequence", default=0),
                "start_s": entry.number("start_s", default=0),
                "seconds": seconds,
                "iterations": entry.whole("iterations", default=1),
            }
        )
    for contender, made in found.items():
        made["n"] = rounds[contender]
        if rounds[contender] == 1:
            made["status"] = "once"
    rows.extend(found.values())


def _stages(entry: Fields) -> tuple[tuple[str, float], ...]:
    """Seconds that one execution spends in each stage of its plan. In no order: documents list counters by name."""
    counters = [key for key in entry.values if key.startswith(STAGE)]
    if len(counters) > MAX_STAGES:
        entry.refuse("name", f"has more than {MAX_STAGES} stages")
    return tuple((entry.name_in_key(key, STAGE), entry.number(key)) for key in counters)


def _is_library(entry: Fields, impl: str) -> bool:
    return bool(entry.number("library")) if "library" in entry else impl in LIBRARIES_OF_OLDER_DOCUMENTS


def _contender(entry: Fields, cell: dict[str, object]) -> tuple[str, str]:
    """Implementation and ISA out of the first six segments of the name, which must agree with the context."""
    name = entry.name("name")
    before = f"{cell['pass']}/{cell['workload']}:{cell['layer']}/"
    after = f"/{cell['layout']}/{cell['cache']}/threads:{cell['threads']}"
    third, found, rest = name.removeprefix(before).partition(after)
    if not name.startswith(before) or not found or (rest and not rest.startswith("/")):
        entry.refuse("name", f"expected {before}impl:isa{after} as the context says")
    impl, separator, isa = third.rpartition(":")
    if not (impl and separator and isa):
        entry.refuse("name", "its third segment is not impl:isa")
    return impl, isa
