# SPDX-License-Identifier: Apache-2.0
"""A made-up study with the layers of ResNet-50 and rows of every kind. `python tests/showcase.py FOLDER` writes it,
and with `crowd` behind it the study of a network of many layers with many contenders."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from synthetic import PEAK, Layer, Recipe, Row, write

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


ERRORS = {"winograd_f2": (4e-7, 3e-3), "winograd_f4": (1.2e-6, 2e-2)}  # with their bounds; of others:
USUAL_ERROR = (2e-7, 4e-3)


def examine(row: Row, layer: Layer, channels: int, rng: np.random.Generator) -> None:
    """Errors, and of Winograd's rows stages: the more channels, the more of the time goes into products."""
    error, bound = ERRORS.get(row.impl, USUAL_ERROR)
    row.error_rms, row.error_bound = (float(one * np.exp(rng.normal(0, 0.3))) for one in (error, bound))
    if "winograd" in row.impl and row.efficiency:
        milliseconds = 2e3 * layer.macs / (row.efficiency * PEAK * 1e9)
        parts = {"image transform": 30, "filter transform": channels / 8, "products": channels, "inverse transform": 20}
        row.stages = {name: milliseconds * part / sum(parts.values()) for name, part in parts.items()}


def showcase(batch: int = 8, rounds: int = 9, **others: Any) -> Recipe:
    """As many layers and contenders as a study of ResNet-50 has."""
    layers, overrides = [], {}
    rng, more = np.random.default_rng(7), np.random.default_rng(9)
    rows = [
        Row("naive", "baseline", 0.012, rounds=1, threaded=False),
        Row("as_convolution", "baseline", 0.008, rounds=1, threaded=False),
        Row("reordered", "avx512", 0.2, threaded=False),
        Row("openmp", "avx512", 0.21),
        Row("im2col_gemm", "avx512", 0.7, workspace=3e7, label="tile 14x32"),
        Row("im2col_blas", "avx512", 0.62, workspace=3e7, label="OpenBLAS 0.3.21", library=True),
        Row("avx2", "avx2", 0.72, workspace=2e6),
        Row("winograd_f2", "avx512", 1.15, workspace=5e7, error_ratio=0.2),
        Row("onednn", "avx512", 0.88, label="brgconv:avx512_core", library=True),
    ]
    for name, count, image, c, k, r, stride in RESNET:
        out = image // stride
        tensors = 4.0 * batch * (c * image**2 + k * out**2) + 4.0 * c * k * r * r
        problem = f"mb{batch}ic{c}ih{image}oc{k}oh{out}kh{r}" + (f"sh{stride}" if stride > 1 else "")
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
                        "efficiency": row.efficiency * float(np.exp(rng.normal(0, 0.18))),
                    }
                )
                examine(varied, layers[-1], c, more)
                if row.impl == "winograd_f2" and (r != 3 or stride != 1):
                    varied.error = "skip: only 3x3, stride 1"
                if row.impl == "as_convolution" and image > 100:
                    varied.error = "skip: one execution is predicted to take 14.0 s, over its share of 5.0 s"
                overrides[(name, pass_, row.impl)] = varied
    overrides[("res3b_branch2b", "weights", "avx2")].error = "wrong: on whole numbers dw[3,1,0,2] is 17, not 18"
    overrides[("res5a_branch1", "data", "im2col_blas")].error = "failed: crashed (SIGSEGV) while proving"
    settings: dict[str, Any] = {
        "workload": "resnet50",
        "name": "showcase",
        "layers": layers,
        "rows": rows,
        "overrides": overrides,
    }
    return Recipe(**(settings | {"batch": batch, "rounds": rounds, "caps": ("avx512",)} | others))


CROWD = [  # name, ISA, share of the peak on dense layers, on depthwise ones; None: not supported
    ("naive", "baseline", 0.012, 0.004),
    ("as_convolution", "baseline", 0.008, 0.003),
    ("reordered", "avx512", 0.2, 0.03),
    ("openmp", "avx512", 0.21, 0.04),
    ("im2col_gemm", "avx512", 0.7, 0.02),
    ("im2col_blas", "avx512", 0.62, 0.015),
    ("im2col_blis", "avx512", 0.66, 0.016),
    ("avx2", "avx2", 0.72, None),
    ("direct", "avx512", 0.93, 0.35),
    ("direct_fused", "avx512", 0.9, 0.34),
    ("winograd_f2", "avx512", 1.15, None),
    ("winograd_f4", "avx512", 1.6, None),
    ("fft", "avx512", 0.5, None),
    ("libxsmm", "avx512", 0.85, None),
    ("onednn", "avx512", 0.88, 0.2),
    ("onednn_best", "avx512", 0.9, 0.24),
]
LIBRARIES = ("im2col_blas", "im2col_blis", "libxsmm", "onednn", "onednn_best")


def crowded(blocks: int = 25, rounds: int = 8, **others: Any) -> Recipe:
    """As many contenders as there may be, on a network of four layers a block whose depthwise ones are slow."""
    rng, more = np.random.default_rng(8), np.random.default_rng(10)
    rows = [
        Row(name, isa, dense, rounds=1 if dense < 0.02 else None, library=name in LIBRARIES, workspace=1e6 * dense)
        for name, isa, dense, _ in CROWD
    ]
    layers = [Layer("stem", 1, 8e8, 2e7, "mb8ic3ih224oc32oh112kh3sh2ph1")]
    for block in range(blocks):
        channels, image = 16 * (1 + block // 2), max(7, 112 >> (block // 6))
        for part, count, taps, descriptor in (
            ("expand", 1, channels, f"ic{channels}ih{image}oc{6 * channels}oh{image}kh1ph0"),
            ("depthwise", 2, 1.5, f"g{6 * channels}ic{6 * channels}ih{image}oc{6 * channels}oh{image}kh3ph1"),
            ("project", 1, channels, f"ic{6 * channels}ih{image}oc{channels}oh{image}kh1ph0"),
            ("spatial", 1, 3 * channels, f"ic{channels}ih{image}oc{channels}oh{image}kh3ph1"),
        ):
            outputs = 8.0 * 6 * channels * image**2
            layers.append(Layer(f"block{block}_{part}", count, taps * outputs, 8 * outputs, "mb8" + descriptor))
    overrides = {}
    for layer in layers:
        kind = 3 if "depthwise" in layer.name else 2
        for pass_ in ("data", "weights"):
            for row, values in zip(rows, CROWD, strict=True):
                share = values[kind] or 0.0
                varied = Row(**vars(row))
                varied.efficiency = share * float(np.exp(rng.normal(0, 0.15)))
                varied.error_ratio = float(10 ** rng.uniform(-3, -1))
                varied.workspace = row.workspace * float(rng.uniform(1, 20))
                examine(varied, layer, 64, more)
                if not share or ("winograd" in row.impl and "spatial" not in layer.name):
                    varied.error = "skip: only 3x3, stride 1, dense"
                overrides[layer.name, pass_, row.impl] = varied
    settings: dict[str, Any] = {"layers": layers, "rows": rows, "overrides": overrides, "workload": "crowded_net"}
    return Recipe(**(settings | {"name": "crowd", "rounds": rounds, "caps": ("avx512",)} | others))


if __name__ == "__main__":
    write(Path(sys.argv[1]), crowded() if "crowd" in sys.argv[2:] else showcase())
