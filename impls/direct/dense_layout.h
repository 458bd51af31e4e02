// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "core/image_layout.h"
#include "core/ranges.h"

namespace convbwd::direct {

/// Floats in a register: the channels of a vector.
inline constexpr Dim kLanes = simd::kWidth;

using simd::ImageLayout;

/// One block of the pixels of a row, `pixel` floats apart: every `step`-th column from columns.begin on, zeros where
/// there is none.
inline void copy_block_row(const float* row, Dim pixel, Dim width, Range columns, float* to, Dim step = 1) {
  const Dim count = ceil_div(columns.size(), step);
  const Dim begin = std::min(count, ceil_div(std::max<Dim>(0, -columns.begin), step));
  const Dim end = std::clamp(ceil_div(width - columns.begin, step), begin, count);
  std::fill(to, to + begin * kLanes, 0.0f);
  for (Dim i = begin; i < end; ++i) simd::store(to + i * kLanes, simd::load(row + (columns.begin + i * step) * pixel));
  std::fill(to + end * kLanes, to + count * kLanes, 0.0f);
}

/// The taps of one filter and one block of channels as vectors, tap after tap, in `taps`.
inline void pack_taps(View4<const float> w, Dim k, Dim block, float* taps) {
  const auto [K, C, R, S] = w.extent;
  for (Dim r = 0; r < R; ++r)
    simd::pack({&w(k, block * kLanes, r, 0), std::min(kLanes, C - block * kLanes), w.stride[1], S, w.stride[3]},
               taps + r * S * kLanes);
}

}  // namespace convbwd::direct
