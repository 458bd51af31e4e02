// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <type_traits>

#include "core/caches.h"
#include "core/simd.h"
#include "core/unroll.h"
#include "direct/across_groups_weights_rows.h"

namespace convbwd::direct {

// A block of outputs is loaded once for all rows of the filter; the window of x slides over it column by column through
// all rows, so an x is loaded once for all of its taps: 7 + rows * window loads for rows * 7 * taps FMAs. Of the
// outputs only those that a column meets are in registers, one for each tap (with stride 2 for every second tap).
//   16 registers, 3x3: 9 sums + 3 dy + 1 x = 13, 0.54 loads an FMA; stride 2: 12, 0.83
//                 5x5: two rows, 10 + 5 + 1 = 16, 0.41; the last one 2 x 5 + 5 + 1, even and odd columns apart, as an
//                 FMA
//                      takes 4 cycles and two start in each     7x7: one row, 7 + 7 + 1 = 15, 0.41, but only 7 chains
//   32 registers, 5x5: all rows, 25 + 5 + 1 = 31, 0.35     7x7: three, 21 + 7 + 1 = 29, 0.31
// Only the first and last taps - 1 columns of a full block can miss the image, and only they are checked. Column by
// column and `held` took 3x3 on 7 x 7 from 43 to 58 GFLOP/s and on 14 x 14 from 64 to 78 (AVX2, Zen 4). Images of
// networks are 7, 14, 28, 56 or 112 wide: blocks of 7 have no tails, where 6 took 3x3 on 14 x 14 9 % longer (Zen 3).
// Filters of other widths are rare, and go output by output to spare compilation.
inline constexpr int kBlockOutputs = 7;
constexpr bool has_blocks(int taps) { return taps == 3 || taps == 5 || taps == 7; }
inline constexpr int kBlockStrides = 2;

constexpr int block_rows(int taps) {
  return simd::kRegisters == 32 ? (taps == 7 ? 3 : taps) : taps == 3 ? 3 : taps == 5 ? 2 : 1;
}
/// The kernel for some rows of the filter has as many, or more.
constexpr int block_rows(int taps, int rows) {
  const Parts parts = parts_of_at_most(block_rows(taps), taps);
  return static_cast<int>(rows <= parts.part(0).size() ? parts.part(0).size() : parts.largest());
}

/// Adds the sums of up to kRows x kTaps taps over some rows of outputs of some images to dw.
template <int kTaps, int kStride, int kRows>
[[gnu::flatten]] void add_blocks(const RowsWalk& walk, const RowsRun& run, const float* x, const float* dy, float* dw) {
  using namespace simd;
  constexpr int kOutputs = kBlockOutputs, kWindow = (kOutputs - 1) * kStride + kTaps;
  constexpr int kLive = int{ceil_div(kTaps, kStride)};
  constexpr int kSets = kRows * kTaps < kChains && 2 * kRows * kTaps + kLive + 1 <= kRegisters ? 2 : 1;
  static_assert(kSets * kRows * kTaps + kLive + 1 <= kRegisters, "sums, dy and x are in registers");
  enum Cut { whole, edge, anywhere };  // where the window, or the block, may end too early
  Vec sums[kSets][kRows][kTaps];
  unroll<kSets>([&](auto set) __attribute__((always_inline)) {
    unroll<kRows>([&](auto r) __attribute__((always_inline)) {
      unroll<kTaps>([&](auto t) __attribute__((always_inline)) { sums[set][r][t] = zero(); });
    });
  });
  const auto add_block = [&](auto cut, auto all_rows, Range rows, Dim low, Dim count, const float* x_at,
                             const float* y_at) __attribute__((always_inline)) {
    constexpr Cut kCut = cut;
    Vec y[kOutputs];
    const Dim begin = -low;
    const Dim end = kCut == anywhere ? std::min(walk.W - low, (count - 1) * kStride + kTaps) : walk.W - low;
    unroll<kWindow>([&](auto m) __attribute__((always_inline)) {
      constexpr bool kAtLeft = kCut == anywhere || (kCut == edge && m < kTaps - 1);
      constexpr bool kAtRight = kCut == anywhere || (kCut == edge && m > kWindow - kTaps);
      if constexpr (m % kStride == 0 && m / kStride < kOutputs)
        y[m / kStride] = kCut != anywhere || m / kStride < count ? held(load(y_at + m / kStride * kWidth)) : zero();
      if ((!kAtLeft || m >= begin) && (!kAtRight || m < end))
        unroll<kRows>([&](auto r) __attribute__((always_inline)) {
          if (!all_rows && (r < rows.begin || r >= rows.end)) return;
          const Vec pixel = held(load(x_at + r * walk.x_tap_row + m * kWidth));
          unroll<kTaps>([&](auto t) __attribute__((always_inline)) {
            constexpr int j = (m - t) / kStride, set = m / kStride % kSets;
            if constexpr (m >= t && (m - t) % kStride == 0 && j < kOutputs)
              sums[set][r][t] = fma(pixel, y[j], sums[set][r][t]);
          });
        });
    });
  };
  const auto prefetch = [](const float*& at, Dim lines) __attribute__((always_inline)) {
    for (Dim line = 0; line < lines; ++line, at += kLine) __builtin_prefetch(at, 0, 2);
  };
  const auto add_row = [&](auto all_rows, Range rows, const float* x_row, const float* y_row)
      __attribute__((always_inline)) {
    const float* x_ahead = x_row + run.x_ahead;
    const float* y_ahead = y_row + run.dy_ahead;
    for (Dim q = walk.outputs.begin; q < walk.outputs.end; q += kOutputs) {
      const Dim low = q * kStride + walk.w_first, count = walk.outputs.end - q;
      const float* const x_at = x_row + q * (kStride * kWidth);
      const float* const y_at = y_row + q * kWidth;
      if (run.x_ahead) prefetch(x_ahead, walk.x_lines);
      if (run.dy_ahead) prefetch(y_ahead, walk.dy_lines);
      if (count < kOutputs || low <= -kTaps || low + kWindow > walk.W + kTaps - 1)
        add_block(std::integral_constant<Cut, anywhere>{}, std::false_type{}, rows, low, count, x_at, y_at);
      else if (!all_rows || low < 0 || low + kWindow > walk.W)
        add_block(std::integral_constant<Cut, edge>{}, all_rows, rows, low, count, x_at, y_at);
      else
        add_block(std::integral_constant<Cut, whole>{}, all_rows, rows, low, count, x_at, y_at);
    }
  };
  for (Dim image = 0; image < run.images; ++image)
    for (Dim row = 0; row < run.rows; ++row) {
      const float* const x_row = x + image * walk.x_image + row * walk.x_row;
      const float* const y_row = dy + image * walk.dy_image + row * walk.dy_row;
      const Dim h = run.h + row * walk.h_row;
      const bool inside = h >= 0 && h + (run.taps - 1) * walk.h_tap < walk.H;
      if (inside && run.taps == kRows)
        add_row(std::true_type{}, {0, kRows}, x_row, y_row);
      else
        add_row(std::false_type{}, outputs_inside(walk.H, run.taps, walk.h_tap, h), x_row, y_row);
    }
  unroll<kRows>([&](auto r) __attribute__((always_inline)) {
    if (r < run.taps)
      unroll<kTaps>([&](auto t) __attribute__((always_inline)) {
        Vec sum = sums[0][r][t];
        if constexpr (kSets == 2) sum = sum + sums[1][r][t];
        float* const to = dw + r * walk.dw_row + t * kWidth;
        store(to, load(to) + sum);
      });
  });
}

}  // namespace convbwd::direct
