// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <optional>

#include "core/problem.h"

namespace convbwd {

/// The rows (or columns) of a matrix whose elements lie scattered in a tensor: one index that counts through three
/// nested dimensions, the last one fastest. Index (i0 * extent[1] + i1) * extent[2] + i2 lies at i0 * stride[0] + i1 *
/// stride[1] + i2 * stride[2] elements. Strides may be negative; an extent of 0 makes it empty.
struct Axis {
  std::array<Dim, 3> extent{};
  std::array<Dim, 3> stride{};

  Dim size() const { return extent[0] * extent[1] * extent[2]; }

  /// Writes where the indices begin, begin + 1, ... lie into out[0 .. count).
  void offsets(Dim begin, Dim count, Dim* out) const {
    if (count == 0) return;
    std::array<Dim, 3> at{begin / extent[2] / extent[1], begin / extent[2] % extent[1], begin % extent[2]};
    for (Dim i = 0; i < count; ++i) {
      out[i] = at[0] * stride[0] + at[1] * stride[1] + at[2] * stride[2];
      for (int digit = 2; digit > 0 && ++at[digit] == extent[digit]; --digit) {
        at[digit] = 0;
        if (digit == 1) ++at[0];
      }
    }
  }

  /// The distance from each index to the next where it is the same everywhere (an axis of one element: 1), else
  /// nothing.
  std::optional<Dim> step() const {
    Dim inner = 1, span = 1;  // the dimensions so far are `span` elements long, `inner` apart
    for (int digit = 2; digit >= 0; --digit) {
      if (extent[digit] == 1) continue;
      if (span == 1) inner = stride[digit];
      if (stride[digit] != span * inner) return std::nullopt;
      span *= extent[digit];
    }
    return inner;
  }
};

/// An axis with one stride.
inline Axis plain_axis(Dim extent, Dim stride) { return {{1, 1, extent}, {0, 0, stride}}; }

/// A tensor seen as a matrix: element (i, j) is data[offset of row i + offset of column j]. Transposition, plain
/// layouts, strided images and the lowered matrix of a convolution are all of this form (a "block-scatter matrix" in D.
/// Matthews, High-Performance Tensor Contraction without Transposition, 2018), so a product of any of them is one
/// routine.
template <class T>
struct Matrix {
  T* data = nullptr;
  Axis rows, columns;
};

/// c = a * b, or c += a * b: c is M x N, a is M x D, b is D x N.
struct Product {
  Matrix<const float> a, b;
  Matrix<float> c;

  Dim M() const { return c.rows.size(); }
  Dim N() const { return c.columns.size(); }
  Dim D() const { return a.columns.size(); }
};

}  // namespace convbwd
