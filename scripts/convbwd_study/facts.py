# SPDX-License-Identifier: Apache-2.0
"""The facts that go with a study's numbers: machine, system, build, conditions; and where they differ within it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from convbwd_study import words

if TYPE_CHECKING:
    import pandas as pd

    from convbwd_study.results import Study

GROUPS: dict[str, dict[str, str]] = {
    "Processor": {
        "cpu_model": "model",
        "cpu_vendor": "vendor",
        "cpu_family_model_stepping": "family/model/stepping",
        "microcode": "microcode",
        "isa_best": "best instruction set",
        "cores": "cores",
        "memory_bytes": "memory",
    },
    "System": {
        "os": "system",
        "kernel": "kernel",
        "virtualisation": "virtualisation",
        "governor": "frequency governor",
        "thp": "transparent huge pages",
        "affinity": "may run on CPUs",
        "pinned": "threads bound",
        "omp_wait_policy": "OMP_WAIT_POLICY",
        "omp_places": "OMP_PLACES",
    },
    "Build": {
        "compiler": "compiler",
        "build_type": "build type",
        "flags_baseline": "flags, baseline",
        "flags_avx2": "flags, avx2",
        "flags_avx512": "flags, avx512",
        "flags_neon": "flags, neon",
        "commit": "commit",
        "dirty": "uncommitted changes",
        "onednn_version": "oneDNN",
        "openblas_version": "OpenBLAS",
        "blis_version": "BLIS",
        "libxsmm_version": "LIBXSMM",
        "benchmark_version": "Google Benchmark",
        "binary_sha256": "binary (SHA-256)",
    },
}
IDENTITY = ("cpu_model", "cpu_family_model_stepping", "memory_bytes")  # cells that differ here are of several machines


@dataclass(frozen=True)
class Fact:
    name: str
    value: str
    varies: bool = False


def values(study: Study, key: str) -> list[str]:
    """The different values of a fact over all cells."""
    return list(dict.fromkeys(facts[key] for facts in study.facts.values() if facts.get(key)))


def _shown(key: str, value: str) -> str:
    if key == "memory_bytes" and value.isdigit():
        return words.size(int(value))
    return value[:16] if key == "binary_sha256" else value


def fact(study: Study, key: str) -> str:
    """As text; several values are joined."""
    found = [_shown(key, value) for value in values(study, key)]
    return "; ".join(found[:3]) + (f"; and {len(found) - 3} more" if len(found) > 3 else "")


def machine(study: Study) -> dict[str, list[Fact]]:
    """Everything known, in groups; what no cell says is left out."""
    groups = {
        group: [
            Fact(title, fact(study, key), len(values(study, key)) > 1)
            for key, title in keys.items()
            if values(study, key)
        ]
        for group, keys in GROUPS.items()
    }
    if study.caches:
        groups["Processor"].append(Fact("caches", study.caches))
    return groups | {"Study": conditions(study)}


def conditions(study: Study) -> list[Fact]:
    cells = study.cells
    rows = [Fact("name", study.name)]
    for column, title in (
        *(("workload", "workloads"), ("batch", "batch"), ("threads", "threads"), ("layout", "layouts")),
        *(("cache", "cache states"), ("isa_cap", "instruction set caps")),
    ):
        found = list(dict.fromkeys(cells[column].astype(str)))
        rows.append(Fact(title, ", ".join(found[:8]) + (", ..." if len(found) > 8 else "")))
    for threads, group in cells.groupby("threads"):
        what = words.counted(int(str(threads)), "thread")
        rows.append(Fact(f"measured FMA peak, {what}", _spread(group["peak_gflops"], "GFLOP/s")))
        rows.append(Fact(f"measured bandwidth, {what}", _spread(group["bandwidth_gbs"], "GB/s")))
    rows.append(Fact("cells", f"{study.planned - len(study.missing)} of {study.planned} measured"))
    rows.append(Fact("noisy cells", str(int((cells["noisy"] != "").sum()))))
    rows.append(Fact("time spent in cells", words.duration(float(cells["elapsed_seconds"].sum()))))
    if started := sorted(text for text in cells["started"] if text):
        rows.append(Fact("measured", started[0] if started[0] == started[-1] else f"{started[0]} to {started[-1]}"))
    return rows


def _spread(column: pd.Series, unit: str) -> str:
    known = column.dropna()
    if known.empty:
        return "not measured"
    text = f"{words.significant(float(known.median()))} {unit}"
    low, high = float(known.min()), float(known.max())
    return text if high < 1.02 * low else f"{text} ({words.significant(low)}–{words.significant(high)} over the cells)"


def warnings(study: Study) -> list[str]:
    """What a reader must know before trusting a number."""
    found = []
    if not study.missing.empty:
        found.append(f"Incomplete: {len(study.missing)} of {study.planned} planned cells have not been measured yet.")
    if mixed := [key for key in IDENTITY if len(values(study, key)) > 1]:
        found.append(f"The cells come from different machines: {', '.join(mixed)} differ.")
    if len(values(study, "binary_sha256")) > 1:
        found.append("The cells were measured with different builds of the benchmark binary.")
    if "yes" in values(study, "dirty"):
        found.append("Built from a tree with uncommitted changes: the commit does not tell all.")
    if builds := [kind for kind in values(study, "build_type") if kind.lower() != "release"]:
        found.append(f"Build type {', '.join(builds)}: only release builds should be timed.")
    noisy = int((study.cells["noisy"] != "").sum())
    if noisy:
        found.append(f"{noisy} of {len(study.cells)} cells are noisy: the machine changed while they ran.")
    if study.stale:
        found.append(
            f"{words.counted(study.stale, 'document')} of earlier builds or options lie in the folder, not used here."
        )
    if unlisted := int((~study.cells["listed"]).sum()):
        found.append(f"{words.counted(unlisted, 'cell')} in the folder that the manifest does not list; included.")
    return found
