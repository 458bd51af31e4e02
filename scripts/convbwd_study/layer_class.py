# SPDX-License-Identifier: Apache-2.0
"""What kind of convolution a layer is, read from its descriptor as the programs print it, `mb8ic3ih224oc64oh112kh7sh2`.

Width fields are there only where they differ from those of the height, and then stand alone.
"""

from __future__ import annotations

import re

STEM_CHANNELS = 4
STEM, DEPTHWISE, GROUPED, DILATED = f"stem, C ≤ {STEM_CHANNELS}", "depthwise", "grouped", "dilated"
DENSE, POINTWISE, STRIDED, OTHER = "dense 3×3, stride 1", "1×1, stride 1", "strided", "other"
CLASSES = (DENSE, POINTWISE, STRIDED, STEM, DEPTHWISE, GROUPED, DILATED, OTHER)


def class_of(problem: str) -> str:
    """The first that fits of depthwise, grouped, stem, dilated, strided, 1×1, 3×3; `other` also where the text says
    nothing that is understood."""
    text = problem.replace("_", "")
    if not re.fullmatch(r"(?:[a-z]+[0-9]{1,15})+", text):
        return OTHER
    fields = {field: int(number) for field, number in re.findall(r"([a-z]+)([0-9]+)", text)}
    if not {"ic", "kh"} <= fields.keys():
        return OTHER
    height = (fields["kh"], fields.get("sh", 1), fields.get("dh", 0))
    wide = fields.keys() & {"iw", "kw", "ow", "sw", "pw", "dw"}
    width = (fields.get("kw", 0), fields.get("sw", 1), fields.get("dw", 0)) if wide else height
    taps, strides, dilations = zip(height, width, strict=True)
    groups, channels = fields.get("g", 1), fields["ic"]
    if groups > 1:
        return DEPTHWISE if groups == channels else GROUPED
    if channels <= STEM_CHANNELS:
        return STEM
    if max(dilations) > 0:
        return DILATED
    if max(strides) > 1:
        return STRIDED
    return {(1, 1): POINTWISE, (3, 3): DENSE}.get(taps, OTHER)
