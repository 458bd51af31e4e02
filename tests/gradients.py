# SPDX-License-Identifier: Apache-2.0
"""Second and third opinions on both gradients, in float64, by ways that share nothing with the C++ oracle."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import signal

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Axis:
    """Rows, or columns, of a convolution."""

    extent: int
    taps: int
    outputs: int
    stride: int = 1
    dilation: int = 1
    pad: int = 0

    @property
    def pad_after(self) -> int:
        """Bottom (right) pad; negative where no window reads the last rows (columns)."""
        return (self.outputs - 1) * self.stride + self.dilation * (self.taps - 1) + 1 - self.extent - self.pad


@dataclass(frozen=True)
class Layer:
    """One problem in the terms of its descriptor."""

    rows: Axis
    columns: Axis
    batch: int = 1
    channels: int = 1
    filters: int = 1
    groups: int = 1

    @property
    def descriptor(self) -> str:
        h, w = self.rows, self.columns
        return (
            f"g{self.groups}mb{self.batch}ic{self.channels}ih{h.extent}iw{w.extent}"
            f"oc{self.filters}oh{h.outputs}ow{w.outputs}kh{h.taps}kw{w.taps}sh{h.stride}sw{w.stride}"
            f"ph{h.pad}pw{w.pad}dh{h.dilation - 1}dw{w.dilation - 1}"
        )

    @property
    def x_shape(self) -> tuple[int, ...]:
        return (self.batch, self.channels, self.rows.extent, self.columns.extent)

    @property
    def w_shape(self) -> tuple[int, ...]:
        return (self.filters, self.channels // self.groups, self.rows.taps, self.columns.taps)

    @property
    def dy_shape(self) -> tuple[int, ...]:
        return (self.batch, self.filters, self.rows.outputs, self.columns.outputs)

    def terms(self, which: str) -> int:
        """Products summed into one element of a gradient, at most."""
        if which == "data":
            return self.filters // self.groups * self.rows.taps * self.columns.taps
        return self.batch * self.rows.outputs * self.columns.outputs


def _spread(plane: Array, by_row: int, by_column: int) -> Array:
    wide = np.zeros(((plane.shape[0] - 1) * by_row + 1, (plane.shape[1] - 1) * by_column + 1))
    wide[::by_row, ::by_column] = plane
    return wide


def _framed(images: Array, rows: tuple[int, int], columns: tuple[int, int]) -> Array:
    """Zeros around the last two axes; a negative width cuts off."""
    for axis, (before, after) in ((-2, rows), (-1, columns)):
        wide = [(0, 0)] * images.ndim
        wide[axis] = (max(before, 0), max(after, 0))
        images = np.pad(images, wide)
        stop = images.shape[axis] - max(-after, 0)
        images = np.take(images, range(max(-before, 0), stop), axis=axis)
    return images


def scipy_gradient(which: str, layer: Layer, dy: Array, other: Array) -> Array:
    """A layer of one image, one channel and one filter, through scipy.signal."""
    h, w = layer.rows, layer.columns
    spread_dy = _spread(dy[0, 0], h.stride, w.stride)
    if which == "weights":
        image = _framed(other[0, 0], (h.pad, h.pad_after), (w.pad, w.pad_after))
        dense = signal.correlate2d(image, spread_dy, mode="valid")
        return np.asarray(dense[:: h.dilation, :: w.dilation])[None, None]
    full = signal.convolve2d(spread_dy, _spread(other[0, 0], h.dilation, w.dilation), mode="full")
    return _framed(full, (-h.pad, -h.pad_after), (-w.pad, -w.pad_after))[None, None]


def numpy_gradient(which: str, layer: Layer, dy: Array, other: Array) -> Array:
    """Any layer: one product of matrices a tap of the filter, on strided views of the padded image."""
    h, w = layer.rows, layer.columns
    grouped_dy = dy.reshape(layer.batch, layer.groups, -1, h.outputs, w.outputs)
    padded_shape = (layer.batch, layer.channels, h.extent + h.pad + h.pad_after, w.extent + w.pad + w.pad_after)
    if which == "weights":
        image = _framed(other, (h.pad, h.pad_after), (w.pad, w.pad_after))
        gradient = np.zeros(layer.w_shape)
    else:
        image = np.zeros(padded_shape)
        weights = other.reshape(layer.groups, -1, *layer.w_shape[1:])
    image = image.reshape(layer.batch, layer.groups, -1, *padded_shape[2:])
    for r in range(h.taps):
        for s in range(w.taps):
            seen = image[
                :,
                :,
                :,
                r * h.dilation : r * h.dilation + (h.outputs - 1) * h.stride + 1 : h.stride,
                s * w.dilation : s * w.dilation + (w.outputs - 1) * w.stride + 1 : w.stride,
            ]
            if which == "weights":
                tap = np.einsum("ngkpq,ngcpq->gkc", grouped_dy, seen)
                gradient[:, :, r, s] = tap.reshape(layer.filters, -1)
            else:
                seen += np.einsum("ngkpq,gkc->ngcpq", grouped_dy, weights[:, :, :, r, s])
    if which == "weights":
        return gradient
    image = image.reshape(padded_shape)
    return _framed(image, (-h.pad, -h.pad_after), (-w.pad, -w.pad_after))
