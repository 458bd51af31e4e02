// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <type_traits>

#include "core/simd.h"
#include "core/unroll.h"
#include "direct/across_groups_weights_rows.h"

namespace convbwd::direct {

// A block of outputs is loaded once for all rows of the filter; the window of x slides over it, so an x is loaded once
// for all of its taps: outputs + rows * (outputs + taps - 1) loads for rows * outputs * taps FMAs.
//   32 registers, 3x3: 9 sums + 7 dy + 1 x, 0.54 loads an FMA     7x7: 3 rows, 21 + 7 + 1 = 29, 0.31
//   16 registers, 3x3: 9 sums + 6 dy + 1 x, 0.56                  7x7: 1 row, 7 + 7 + 1 = 15, 0.41, but only 7 chains
// The pixels of a window are taken column by column through all rows of the filter: nine chains with 3x3, where row by
// row has three. Only the first and last taps - 1 columns of a full block can miss the image, and only they are
// checked. Together with `held` this took 3x3 on 7 x 7 from 43 to 58 GFLOP/s and on 14 x 14 from 64 to 78 (AVX2, Zen
// 4). Filters of other widths are rare, and go output by output to spare compilation.
constexpr bool has_blocks(int taps) { return taps == 3 || taps == 5 || taps == 7; }
constexpr int block_rows(int taps) { return std::max(1, std::min(3, (simd::kRegisters == 32 ? 24 : 12) / taps)); }

/// Adds the sums of up to block_rows(kTaps) rows of the filter over some rows of outputs of some images to dw.
template <int kTaps>
[[gnu::flatten]] void add_blocks(const RowsWalk& walk, const RowsRun& run, const float* x, const float* dy, float* dw) {
  using namespace simd;
  constexpr int kRows = block_rows(kTaps), kOutputs = std::min(7, kRegisters - 1 - kRows * kTaps);
  constexpr int kWindow = kOutputs + kTaps - 1;
  enum Cut { whole, edge, anywhere };  // where the window, or the block, may end too early
  static_assert(kOutputs > 0);
  Vec sums[kRows][kTaps];
  unroll<kRows>([&](auto r) __attribute__((always_inline)) {
    unroll<kTaps>([&](auto t) __attribute__((always_inline)) { sums[r][t] = zero(); });
  });
  const auto add_block = [&](auto cut, auto all_rows, Range rows, Dim low, Dim count, const float* x_at,
                             const float* y_at) __attribute__((always_inline)) {
    constexpr Cut kCut = cut;
    Vec y[kOutputs];
    unroll<kOutputs>([&](auto j) __attribute__((always_inline)) {
      y[j] = kCut != anywhere || j < count ? held(load(y_at + j * kWidth)) : zero();
    });
    const Dim begin = -low, end = kCut == anywhere ? std::min(walk.W - low, count + kTaps - 1) : walk.W - low;
    const auto meets = [&](auto m) __attribute__((always_inline)) {
      constexpr bool kAtLeft = kCut == anywhere || (kCut == edge && m < kTaps - 1);
      constexpr bool kAtRight = kCut == anywhere || (kCut == edge && m >= kOutputs);
      return (!kAtLeft || m >= begin) && (!kAtRight || m < end);
    };
    const auto add_pixel = [&](auto r, auto m) __attribute__((always_inline)) {
      const Vec pixel = held(load(x_at + r * walk.x_tap_row + m * kWidth));
      unroll<kTaps>([&](auto t) __attribute__((always_inline)) {
        constexpr int j = m - t;
        if constexpr (j >= 0 && j < kOutputs) sums[r][t] = fma(pixel, y[j], sums[r][t]);
      });
    };
    if constexpr (all_rows)
      unroll<kWindow>([&](auto m) __attribute__((always_inline)) {
        if (meets(m)) unroll<kRows>([&](auto r) __attribute__((always_inline)) { add_pixel(r, m); });
      });
    else
      unroll<kRows>([&](auto r) __attribute__((always_inline)) {
        if (r >= rows.begin && r < rows.end)
          unroll<kWindow>([&](auto m) __attribute__((always_inline)) {
            if (meets(m)) add_pixel(r, m);
          });
      });
  };
  const auto add_row = [&](auto all_rows, Range rows, const float* x_row, const float* y_row)
      __attribute__((always_inline)) {
    for (Dim q = walk.outputs.begin; q < walk.outputs.end; q += kOutputs) {
      const Dim low = q + walk.w_first, count = walk.outputs.end - q;
      const float* const x_at = x_row + q * kWidth;
      const float* const y_at = y_row + q * kWidth;
      if (count < kOutputs || low < 1 - kTaps || low + kOutputs > walk.W)
        add_block(std::integral_constant<Cut, anywhere>{}, all_rows, rows, low, count, x_at, y_at);
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
        add_row(std::true_type{}, {}, x_row, y_row);
      else
        add_row(std::false_type{}, outputs_inside(walk.H, run.taps, walk.h_tap, h), x_row, y_row);
    }
  unroll<kRows>([&](auto r) __attribute__((always_inline)) {
    if (r < run.taps)
      unroll<kTaps>([&](auto t) __attribute__((always_inline)) {
        float* const to = dw + r * walk.dw_row + t * kWidth;
        store(to, load(to) + sums[r][t]);
      });
  });
}

}  // namespace convbwd::direct
