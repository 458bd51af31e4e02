// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "core/image_layout.h"
#include "core/ranges.h"

namespace convbwd::direct {

/// Floats in a register: the channels of a vector.
inline constexpr Dim kLanes = simd::kWidth;

using simd::ImageLayout;

/// Columns of an image: every step-th of a range.
struct Columns {
  Range range;
  Dim step = 1;
  Dim count() const { return ceil_div(range.size(), step); }
};

/// Columns of a row of pixels as vectors: zeros where there is no pixel.
inline void copy_block_row(simd::PixelRun<const float> row, Columns columns, float* to) {
  const Range inside = outputs_inside(row.pixels, columns.count(), columns.step, columns.range.begin);
  float* const first = to + inside.begin * kLanes;
  std::fill(to, first, 0.0f);
  row.data = row.at(0, columns.range.begin + inside.begin * columns.step);
  row.pixels = inside.size(), row.pixel_stride *= columns.step;
  simd::pack(row, first);
  std::fill(first + inside.size() * kLanes, to + columns.count() * kLanes, 0.0f);
}

/// Rows of images by vectors of channels, the first of which is `first`. Strides are in floats.
struct BlockRows {
  const float* data;
  Dim first, vector, image, row;
};

/// Copies `vectors` of some rows, every row_step-th, of some images. `from`: column 0 of the first row of vector 0.
///
///   panel[vector][image][row][column][lane]    0 ... | column 0: c0 c1 ... | ... | 0 ...
inline BlockRows copy_block_rows(const ImageLayout& layout, const float* from, Range vectors, Dim images, Dim rows,
                                 Dim row_step, Columns columns, float* panel) {
  const Dim row_floats = columns.count() * kLanes, image_floats = rows * row_floats;
  float* to = panel;
  for (Dim vector = vectors.begin; vector < vectors.end; ++vector)
    for (Dim image = 0; image < images; ++image)
      for (Dim row = 0; row < rows; ++row, to += row_floats)
        copy_block_row(layout.row_at(from + layout.offset(image, 0, vector) + row * row_step * layout.row(), vector),
                       columns, to);
  return {panel, vectors.begin, images * image_floats, image_floats, row_floats};
}

/// The taps of one filter and one block of channels as vectors, tap after tap, in `taps`.
inline void pack_taps(View4<const float> w, Dim k, Dim block, float* taps) {
  const auto [K, C, R, S] = w.extent;
  for (Dim r = 0; r < R; ++r)
    simd::pack({&w(k, block * kLanes, r, 0), std::min(kLanes, C - block * kLanes), w.stride[1], S, w.stride[3]},
               taps + r * S * kLanes);
}

}  // namespace convbwd::direct
