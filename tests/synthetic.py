# SPDX-License-Identifier: Apache-2.0
"""Made-up studies in the format of real ones, with times drawn around chosen medians, for the tests of the reports.

`python tests/synthetic.py FOLDER` writes one to look at: an imaginary CPU, every kind of row and of trouble.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

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
    label: str = ""
    workspace: float = 0.0
    error_ratio: float = 0.01


@dataclass
class Recipe:
    layers: list[Layer] = field(
        default_factory=lambda: [Layer("conv1"), Layer("conv2", count=3)]
    )
    rows: list[Row] = field(
        default_factory=lambda: [
            Row("naive", "baseline", 0.02),
            Row("avx2"),
            Row("onednn", "avx2", 0.7),
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
    overrides: dict[tuple[str, str, str], Row] = field(
        default_factory=dict
    )  # (layer, pass, impl)


def context(
    recipe: Recipe,
    layer: Layer,
    pass_: str,
    layout: str,
    cache: str,
    threads: int,
    cap: str,
) -> dict[str, Any]:
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
    facts |= {
        "pass": pass_,
        "workload": recipe.workload,
        "layer": layer.name,
        "count": str(layer.count),
        "problem": layer.descriptor,
        "layout": layout,
        "cache": cache,
        "threads": str(threads),
        "isa_cap": cap,
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


def document(
    recipe: Recipe,
    layer: Layer,
    pass_: str,
    layout: str,
    cache: str,
    threads: int,
    cap: str,
) -> dict[str, Any]:
    seed = abs(hash_of(recipe.seed, layer.name, pass_, layout, cache, threads, cap))
    rng = np.random.default_rng(seed)
    drift = np.exp(np.cumsum(rng.normal(0, recipe.drift / 10, 64)))
    entries: list[dict[str, Any]] = []
    for usual in recipe.rows:
        row = recipe.overrides.get((layer.name, pass_, usual.impl), usual)
        name = f"{pass_}/{recipe.workload}:{layer.name}/{row.impl}:{row.isa}/{layout}/{cache}/threads:{threads}/manual_time"
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
            seconds = (
                2
                * layer.macs
                / rate
                * drift[round_]
                * np.exp(rng.normal(0, row.spread))
            )
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
                    "checked": 4096.0,
                    "round": float(round_),
                    "sequence": float(rng.integers(len(recipe.rows))),
                    "start_s": 0.1 * round_,
                    "plan_s": 1e-4,
                    "pack_s": 1e-3,
                    "proof_s": 0.2,
                    "threaded": float(row.threaded),
                    "proof_run": float(rounds == 1),
                }
            )
    return {
        "context": context(recipe, layer, pass_, layout, cache, threads, cap),
        "benchmarks": entries,
    }


def hash_of(*parts: object) -> int:
    """The same in every process, which Python's own hash() is not."""
    return int.from_bytes(repr(parts).encode()[-64:], "little") % 2**60


def write(folder: Path, recipe: Recipe) -> Path:
    cells = []
    (folder / "cells").mkdir(parents=True, exist_ok=True)
    for layer in recipe.layers:
        for pass_ in recipe.passes:
            for layout in recipe.layouts:
                for cache in recipe.caches:
                    for threads in recipe.threads:
                        for cap in recipe.caps:
                            key = f"cell{len(cells):04d}"
                            cells.append(
                                {
                                    "key": key,
                                    "pass": pass_,
                                    "workload": recipe.workload,
                                    "layer": layer.name,
                                }
                            )
                            cells[-1] |= {
                                "count": layer.count,
                                "problem": layer.descriptor,
                                "layout": layout,
                            }
                            cells[-1] |= {
                                "cache": cache,
                                "threads": threads,
                                "isa_cap": cap,
                            }
                            made = document(
                                recipe, layer, pass_, layout, cache, threads, cap
                            )
                            (folder / "cells" / f"{key}.json").write_text(
                                json.dumps(made, indent=1)
                            )
    for cell in cells[len(cells) - recipe.drop :]:
        (folder / "cells" / f"{cell['key']}.json").unlink()
    layers = [
        {"name": layer.name, "problem": layer.descriptor, "count": layer.count}
        for layer in recipe.layers
    ]
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


RESNET = [  # name, count, image, in, out, filter, stride
    *(
        ("conv1", 1, 224, 3, 64, 7, 2),
        ("res2a_branch2a", 1, 56, 64, 64, 1, 1),
        ("res2a_branch2b", 3, 56, 64, 64, 3, 1),
    ),
    *(
        ("res2a_branch2c", 4, 56, 64, 256, 1, 1),
        ("res2b_branch2a", 2, 56, 256, 64, 1, 1),
    ),
    *(
        ("res3a_branch1", 1, 56, 256, 512, 1, 2),
        ("res3a_branch2a", 1, 56, 256, 128, 1, 1),
    ),
    *(
        ("res3a_branch2b", 1, 56, 128, 128, 3, 2),
        ("res3a_branch2c", 4, 28, 128, 512, 1, 1),
    ),
    *(
        ("res3b_branch2a", 3, 28, 512, 128, 1, 1),
        ("res3b_branch2b", 3, 28, 128, 128, 3, 1),
    ),
    *(
        ("res4a_branch1", 1, 28, 512, 1024, 1, 2),
        ("res4a_branch2a", 1, 28, 512, 256, 1, 1),
    ),
    *(
        ("res4a_branch2b", 1, 28, 256, 256, 3, 2),
        ("res4a_branch2c", 6, 14, 256, 1024, 1, 1),
    ),
    *(
        ("res4b_branch2a", 5, 14, 1024, 256, 1, 1),
        ("res4b_branch2b", 5, 14, 256, 256, 3, 1),
    ),
    *(
        ("res5a_branch1", 1, 14, 1024, 2048, 1, 2),
        ("res5a_branch2a", 1, 14, 1024, 512, 1, 1),
    ),
    *(
        ("res5a_branch2b", 1, 14, 512, 512, 3, 2),
        ("res5a_branch2c", 3, 7, 512, 2048, 1, 1),
    ),
    *(
        ("res5b_branch2a", 2, 7, 2048, 512, 1, 1),
        ("res5b_branch2b", 2, 7, 512, 512, 3, 1),
    ),
]


def showcase(batch: int = 8, rounds: int = 9, **others: Any) -> Recipe:
    """As many layers and contenders as a study of ResNet-50 has."""
    layers, overrides = [], {}
    rng = np.random.default_rng(7)
    rows = [
        Row("naive", "baseline", 0.012, rounds=1, threaded=False),
        Row("as_convolution", "baseline", 0.008, rounds=1, threaded=False),
        Row("reordered", "avx512", 0.2, threaded=False),
        Row("openmp", "avx512", 0.21),
        Row("im2col_gemm", "avx512", 0.7, workspace=3e7, label="tile 14x32"),
        Row("im2col_blas", "avx512", 0.62, workspace=3e7, label="OpenBLAS 0.3.21"),
        Row("avx2", "avx2", 0.72, workspace=2e6),
        Row("winograd_f2", "avx512", 1.15, workspace=5e7, error_ratio=0.2),
        Row("onednn", "avx512", 0.88, label="brgconv:avx512_core"),
    ]
    for name, count, image, c, k, r, stride in RESNET:
        out = image // stride
        tensors = 4.0 * batch * (c * image**2 + k * out**2) + 4.0 * c * k * r * r
        problem = f"mb{batch}ic{c}ih{image}oc{k}oh{out}kh{r}" + (
            f"sh{stride}" if stride > 1 else ""
        )
        layers.append(
            Layer(
                name,
                count,
                1.0 * batch * c * k * out**2 * r * r,
                tensors,
                problem + (f"ph{r // 2}" if r > 1 else ""),
            )
        )
        for pass_ in ("data", "weights"):
            for row in rows:
                varied = Row(
                    **{
                        **row.__dict__,
                        "efficiency": row.efficiency
                        * float(np.exp(rng.normal(0, 0.18))),
                    }
                )
                if row.impl == "winograd_f2" and (r != 3 or stride != 1):
                    varied.error = "skip: only 3x3, stride 1"
                if row.impl == "as_convolution" and image > 100:
                    varied.error = "skip: one execution is predicted to take 14.0 s, over its share of 5.0 s"
                overrides[(name, pass_, row.impl)] = varied
    overrides[
        ("res3b_branch2b", "weights", "avx2")
    ].error = "wrong: on whole numbers dw[3,1,0,2] is 17, not 18"
    overrides[
        ("res5a_branch1", "data", "im2col_blas")
    ].error = "failed: crashed (SIGSEGV) while proving"
    settings: dict[str, Any] = {
        "workload": "resnet50",
        "name": "showcase",
        "layers": layers,
        "rows": rows,
        "overrides": overrides,
    }
    return Recipe(
        **(settings | {"batch": batch, "rounds": rounds, "caps": ("avx512",)} | others)
    )


if __name__ == "__main__":
    write(Path(sys.argv[1]), showcase())
