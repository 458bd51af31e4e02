# SPDX-License-Identifier: Apache-2.0
"""A study whose every name is an attack on the page, picture or table it ends up in."""

from synthetic import Layer, Recipe, Row

HOSTILE = "</script><script>alert(1)</script>"
HOSTILE_NAMES = [
    HOSTILE,
    '"><img src=x onerror=alert(1)>',
    "=cmd|' /C calc'!A0",
    "datum.x', alert(1), '",
    "日本|*_`[a](b)",
    "constructor",
    "__proto__",
    "a\u2028b",
]
HOSTILE_STAGES = [name for name in HOSTILE_NAMES if name.isprintable()]  # others are refused


def hostile_recipe(**others):
    layers = [Layer(name.replace("\n", " "), problem=f"mb1ic{i + 1}ih5oc3kh3") for i, name in enumerate(HOSTILE_NAMES)]
    rows = [
        Row(HOSTILE, label=HOSTILE),
        Row("=1+1", efficiency=0.6, label="=HYPERLINK(1)", stages=dict.fromkeys(HOSTILE_STAGES, 1.0)),
        Row("onednn", efficiency=0.4),
        Row("'; DROP", error=f"wrong: {HOSTILE} | # \n[x](javascript:alert(1))"),
    ]
    machine = {"cpu_model": HOSTILE, "noisy": HOSTILE, "compiler": "`$(rm)`", "kernel": "| a | b |"}
    settings = {
        "layers": layers,
        "rows": rows,
        "machine": machine,
        "workload": HOSTILE,
        "name": HOSTILE,
        "passes": ("data",),
    }
    return Recipe(**(settings | others))
