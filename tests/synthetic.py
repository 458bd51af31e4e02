# SPDX-License-Identifier: Apache-2.0
"""Made-up studies in the format of real ones, with times drawn around chosen medians, for the tests of the reports."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

PEAK, BANDWIDTH = 100.0, 20.0  # GFLOP/s and GB/s of one thread


@dataclass
class Layer:
    name: str
    count: int = 1
    macs: float = 4e8
    tensor_bytes: float = 8e6
    problem: str = ""

    @property
    def descriptor(self) -> str:
        return self.problem or f"mb8ic64ih56oc64kh3ph1_{self.name}"


@dataclass
class Row:
    """`efficiency`: share of the peak its median reaches, by pass; `error`: an error message instead of times."""

    impl: str
    isa: str = "avx2"
    efficiency: float = 0.5
    spread: float = 0.01
    rounds: int | None = None
    error: str = ""
    threaded: bool = True
    library: bool = False
    label: str = ""
    workspace: float = 0.0
    error_ratio: float = 0.01
    error_rms: float | None = 1e-7  # rows timed once have none, nor a bound, nor stages
    error_bound: float = 1e-4
    stages: dict[str, float] = field(default_factory=dict)  # milliseconds


@dataclass
class Recipe:
    layers: list[Layer] = field(default_factory=lambda: [Layer("conv1"), Layer("conv2", count=3)])
    rows: list[Row] = field(
        default_factory=lambda: [
            Row("naive", "baseline", 0.02),
            Row("avx2"),
            Row("onednn", "avx2", 0.7, library=True),
        ]
    )
    passes: tuple[str, ...] = ("data", "weights")
    threads: tuple[int, ...] = (1,)
    layouts: tuple[str, ...] = ("native",)
    caches: tuple[str, ...] = ("warm",)
    caps: tuple[str, ...] = ("avx2",)
    rounds: int = 10
    batch: int = 8
    workload: str = "synthetic"
    name: str = "synthetic"
    machine: dict[str, str] = field(default_factory=dict)
    drop: int = 0  # cells of the manifest that have no document
    seed: int = 1
    drift: float = 0.05
    overrides: dict[tuple[str, str, str], Row] = field(default_factory=dict)  # (layer, pass, impl)


@dataclass(frozen=True)
class Conditions:
    """Of one cell, in the manifest's words."""

    layer: Layer
    pass_: str
    layout: str
    cache: str
    threads: int
    cap: str

    def listed(self, recipe: Recipe) -> dict[str, Any]:
        return {
            "pass": self.pass_,
            "workload": recipe.workload,
            "layer": self.layer.name,
            "count": self.layer.count,
            "problem": self.layer.descriptor,
            "layout": self.layout,
            "cache": self.cache,
            "threads": self.threads,
            "isa_cap": self.cap,
        }


def cells_of(recipe: Recipe) -> list[Conditions]:
    axes = (recipe.layers, recipe.passes, recipe.layouts, recipe.caches, recipe.threads, recipe.caps)
    return [Conditions(*one) for one in product(*axes)]


def context(recipe: Recipe, conditions: Conditions) -> dict[str, Any]:
    layer, threads = conditions.layer, conditions.threads
    facts = {
        "convbwd_schema": "1",
        "cpu_model": "Imaginary CPU 3000 @ 2.50GHz",
        "cpu_vendor": "Imaginary",
        "cpu_family_model_stepping": "1/2/3",
        "microcode": "0x1",
        "isa_best": "avx2",
        "cores": "4",
        "memory_bytes": str(16 * 2**30),
        "kernel": "Linux 6.1",
        "os": "Debian GNU/Linux 12",
        "governor": "performance",
        "virtualisation": "none",
        "thp": "madvise",
        "compiler": "g++ 12.2.0",
        "build_type": "Release",
        "flags_baseline": "-O3",
        "flags_avx2": "-O3 -mavx2 -mfma",
        "flags_avx512": "",
        "commit": "0123456789ab",
        "dirty": "no",
        "onednn_version": "3.2.0",
        "openblas_version": "0.3.21",
        "benchmark_version": "1.7.1",
        "omp_wait_policy": "active",
        "omp_places": "cores",
        "affinity": "0-3",
        "pinned": "yes",
        "binary_sha256": "ab" * 32,
        "seed": "1",
        "noisy": "",
        "steal_seconds": "0.0",
        "involuntary_switches": "3",
        "elapsed_seconds": "2.5",
        "started": "2026-01-01T00:00:00Z",
    }
    facts |= {key: str(value) for key, value in conditions.listed(recipe).items()}
    facts |= {
        "batch": str(recipe.batch),
        "macs": str(int(layer.macs)),
        "nominal_macs": str(int(layer.macs * 1.1)),
        "fma_peak_gflops_before": f"{PEAK * threads:.6f}",
        "fma_peak_gflops_after": f"{PEAK * threads * 0.99:.6f}",
        "bandwidth_gbs_before": f"{BANDWIDTH:.6f}",
        "bandwidth_gbs_after": f"{BANDWIDTH:.6f}",
    }
    caches = [{"type": "Data", "level": 1, "size": 32768, "num_sharing": 1}]
    return {
        "date": "2026-01-01T00:00:00+00:00",
        "host_name": "",
        "caches": caches,
        **facts,
        **recipe.machine,
    }


def document(recipe: Recipe, conditions: Conditions) -> dict[str, Any]:
    layer, pass_, threads = conditions.layer, conditions.pass_, conditions.threads
    axes = (pass_, conditions.layout, conditions.cache, threads, conditions.cap)
    seed = abs(hash_of(recipe.seed, layer.name, *axes))
    rng = np.random.default_rng(seed)
    drift = np.exp(np.cumsum(rng.normal(0, recipe.drift / 10, 64)))
    entries: list[dict[str, Any]] = []
    for usual in recipe.rows:
        row = recipe.overrides.get((layer.name, pass_, usual.impl), usual)
        place = f"{conditions.layout}/{conditions.cache}/threads:{threads}/manual_time"
        name = f"{pass_}/{recipe.workload}:{layer.name}/{row.impl}:{row.isa}/{place}"
        common = {"name": name, "run_name": name, "run_type": "iteration", "threads": 1}
        if row.error:
            entries.append(
                common
                | {
                    "error_occurred": True,
                    "error_message": row.error,
                    "iterations": 0,
                    "real_time": 0.0,
                }
            )
            entries[-1] |= {"time_unit": "ms", "repetitions": 1, "repetition_index": 0}
            continue
        rounds = row.rounds or recipe.rounds
        rate = row.efficiency * PEAK * 1e9 * (threads if row.threaded else 1)
        for round_ in range(rounds):
            seconds = 2 * layer.macs / rate * drift[round_] * np.exp(rng.normal(0, row.spread))
            entries.append(
                common
                | {
                    "repetitions": rounds,
                    "repetition_index": round_,
                    "iterations": 5,
                    "real_time": seconds * 1e3,
                    "cpu_time": seconds * 1e3,
                    "time_unit": "ms",
                    "label": row.label,
                    "gflops": 2e-9 * layer.macs / seconds,
                    "tensor_bytes": layer.tensor_bytes,
                    "workspace_bytes": row.workspace,
                    "error_ratio": row.error_ratio,
                    **(beyond_the_proof(row) if rounds > 1 else {}),
                    "checked": 4096.0,
                    "round": float(round_),
                    "sequence": float(rng.integers(len(recipe.rows))),
                    "start_s": 0.1 * round_,
                    "plan_s": 1e-4,
                    "pack_s": 1e-3,
                    "proof_s": 0.2,
                    "threaded": float(row.threaded),
                    "library": float(row.library),
                    "proof_run": float(rounds == 1),
                }
            )
    return {"context": context(recipe, conditions), "benchmarks": entries}


def beyond_the_proof(row: Row) -> dict[str, float]:
    """What is measured of rows that are fast enough to run more than once."""
    errors = {} if row.error_rms is None else {"error_rms": row.error_rms, "error_bound": row.error_bound}
    return errors | {f"stage:{name}": 1e-3 * time for name, time in sorted(row.stages.items())}


def hash_of(*parts: object) -> int:
    """The same in every process, which Python's own hash() is not."""
    return int.from_bytes(repr(parts).encode()[-64:], "little") % 2**60


def write(folder: Path, recipe: Recipe) -> Path:
    (folder / "cells").mkdir(parents=True, exist_ok=True)
    cells = []
    for conditions in cells_of(recipe):
        cells.append({"key": f"cell{len(cells):04d}"} | conditions.listed(recipe))
        text = json.dumps(document(recipe, conditions), indent=1)
        (folder / "cells" / f"{cells[-1]['key']}.json").write_text(text)
    for cell in cells[len(cells) - recipe.drop :]:
        (folder / "cells" / f"{cell['key']}.json").unlink()
    layers = [{"name": layer.name, "problem": layer.descriptor, "count": layer.count} for layer in recipe.layers]
    manifest = {
        "schema": 1,
        "name": recipe.name,
        "created": "2026-01-01T00:00:00Z",
        "options": {},
        "machine": {},
        "build": {},
        "workloads": {recipe.workload: {"digest": "00", "layers": layers}},
        "cells": cells,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1))
    return folder
