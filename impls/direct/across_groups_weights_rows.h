// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <type_traits>
#include <utility>

#include "core/ranges.h"
#include "core/simd.h"
#include "core/unroll.h"

namespace convbwd::direct {

inline constexpr int kMostWeightTaps = 7;
// A dy is loaded for each output, and x is the memory operand of an FMA: rows * taps + 1 loads for rows * taps FMAs, at
// any stride and dilation, without tails. Against walks of stride 1 by phases of the columns, Zen 4, AVX2 and AVX-512:
// 3x3 of stride 2 on 56 x 56 23 -> 42 and 35 -> 48 GFLOP/s, on 14 x 14 25 -> 38 and 44 -> 49; 5x5 on 56 x 56 48 -> 57
// and 53 -> 74, but on 14 x 14 (7 outputs a row, two or three of them cut) 37 -> 37 and 77 -> 63; a dilated 3x3 on
// 28 x 28 64 -> 63 and 92 -> 78. With strides 1 and 2 blocks are faster by 1.1 to 1.7.
//
// 14 sums + 1 dy of 16 registers (7x7: two rows), 28 + 1 of 32 (7x7: four rows, 5x5: all five).
inline constexpr int kMostSums = simd::kRegisters == 32 ? 28 : 14;
// An FMA takes 4 cycles, and two start in each, or one of 512 bits.
inline constexpr int kChains = simd::kWidth == 16 ? 4 : 8;

constexpr int most_rows(int taps) { return std::min(kMostSums / taps, 5); }
/// With few sums, some outputs are added at a time, each to sums of its own.
constexpr int sets_of(int rows, int taps) { return std::min(ceil_div(kChains, rows * taps), Dim{4}); }

/// How the taps of some rows of the filter meet outputs. Strides are in floats.
struct RowsWalk {
  Dim x_image, x_row, x_output, x_tap_row, x_tap;
  Dim dy_image, dy_row;
  Dim dw_row;
  Dim h_row, h_tap, H;              // image row of the first tap from row to row of outputs, and from tap to tap
  Dim w_output, w_tap, W, w_first;  // the same of the columns, and the column of the first tap and output 0
  Range outputs, whole;             // those that meet the image through any tap, and through all
  Dim x_lines, dy_lines;            // cache lines that a block of outputs has for itself
};

struct RowsRun {
  Dim images, rows, h;    // h: image row of the first tap and the first row of outputs
  int taps;               // rows of the filter
  Dim x_ahead, dy_ahead;  // from a row to that of the next run, which comes to L2 during this one; 0: it does not
};

/// Adds the sums of kRows x kTaps taps over some rows of outputs of some images to dw.
template <int kRows, int kTaps>
[[gnu::flatten]] void add_rows(const RowsWalk& walk, const RowsRun& run, const float* x, const float* dy, float* dw) {
  using namespace simd;
  constexpr int kSets = sets_of(kRows, kTaps);
  const Dim x_tap = walk.x_tap, x_tap_row = walk.x_tap_row, x_output = walk.x_output;
  const Range outputs = walk.outputs, whole = walk.whole;
  const std::array<Range, 2> edges{Range{outputs.begin, whole.begin}, Range{whole.end, outputs.end}};
  Vec sums[kSets][kRows][kTaps];
  unroll<kSets>([&](auto set) __attribute__((always_inline)) {
    unroll<kRows>([&](auto r) __attribute__((always_inline)) {
      unroll<kTaps>([&](auto t) __attribute__((always_inline)) { sums[set][r][t] = zero(); });
    });
  });
  const auto meets = [](Dim at, Dim extent) { return static_cast<std::size_t>(at) < static_cast<std::size_t>(extent); };
  const auto add_output = [&](auto set, auto cut, Range rows, Dim w, const float* x_at, const float* y_at)
      __attribute__((always_inline)) {
    const Vec y = load(y_at);
    unroll<kTaps>([&](auto t) __attribute__((always_inline)) {
      if (!cut || meets(w + t * walk.w_tap, walk.W))
        unroll<kRows>([&](auto r) __attribute__((always_inline)) {
          if (!cut || (r >= rows.begin && r < rows.end))
            sums[set][r][t] = fma(load(x_at + r * x_tap_row + t * x_tap), y, sums[set][r][t]);
        });
    });
  };
  const auto add_cut = [&](Range rows, std::array<Range, 2> parts, const float* x_row, const float* y_row)
      __attribute__((always_inline)) {
    for (const Range& part : parts)
      for (Dim q = part.begin; q < part.end; ++q)
        add_output(std::integral_constant<int, 0>{}, std::true_type{}, rows, q * walk.w_output + walk.w_first,
                   x_row + q * x_output, y_row + q * kWidth);
  };
  const auto add_whole = [&](const float* x_at, const float* y_at) __attribute__((always_inline)) {
    Dim count = whole.size();
    for (; count >= kSets; count -= kSets)
      unroll<kSets>([&](auto set) __attribute__((always_inline)) {
        add_output(set, std::false_type{}, {}, 0, x_at, y_at);
        x_at += x_output;
        y_at += kWidth;
      });
    if constexpr (kSets > 1)
      for (; count > 0; --count, x_at += x_output, y_at += kWidth)
        add_output(std::integral_constant<int, 0>{}, std::false_type{}, {}, 0, x_at, y_at);
  };
  for (Dim image = 0; image < run.images; ++image)
    for (Dim row = 0; row < run.rows; ++row) {
      const float* x_row = x + image * walk.x_image + row * walk.x_row;
      const float* y_row = dy + image * walk.dy_image + row * walk.dy_row;
      const Dim h = run.h + row * walk.h_row;
      const bool inside = h >= 0 && h + (kRows - 1) * walk.h_tap < walk.H;
      if (inside) add_whole(x_row + whole.begin * x_output, y_row + whole.begin * kWidth);
      add_cut(inside ? Range{0, kRows} : outputs_inside(walk.H, kRows, walk.h_tap, h),
              inside ? edges : std::array<Range, 2>{outputs}, x_row, y_row);
    }
  unroll<kRows>([&](auto r) __attribute__((always_inline)) {
    unroll<kTaps>([&](auto t) __attribute__((always_inline)) {
      Vec sum = sums[0][r][t];
      unroll<kSets - 1>([&](auto set) __attribute__((always_inline)) { sum = sum + sums[set + 1][r][t]; });
      float* const to = dw + r * walk.dw_row + t * kWidth;
      store(to, load(to) + sum);
    });
  });
}

}  // namespace convbwd::direct
