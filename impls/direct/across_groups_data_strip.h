// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <utility>

#include "core/simd.h"
#include "core/unroll.h"

namespace convbwd::direct {

// 7 sums + up to 7 taps + 1 dy = 15 of 16 registers. Every dy is loaded once for all taps of a row of the filter, every
// tap once for all positions: (7 + S - 1 + S) loads for 7 S FMAs, 0.57 an FMA for S = 3 and 0.41 for S = 7. Images of
// networks are 7, 14, 28, 56 or 112 wide, so blocks of 7 have no tails. With S = 3 and
// AVX-512, 7, 8 and 14 positions reach 0.79, 0.81 and 0.85 of the FMA peak in L1. Strides known when compiling (kDense)
// are worth 10 to 15 % there with S = 3 and AVX2.
// `held`, and lambdas inlined early: with AVX-512 3x3 on 28, 14 and 7 columns went from 64, 62, 58 to 84, 84, 76
// GFLOP/s and groups of 8 channels from 74 to 104, as one load serves all taps; AVX2 and 7x7 did not change.
inline constexpr int kPositions = 7;
inline constexpr int kMostDataTaps = 7;

/// Strides of one walk along the columns, in floats.
struct DataWalk {
  Dim dx_row, dx_position, dy_output, w_tap;
  bool first;  // sums are stored, otherwise added to what is there
};

/// A row of the filter and the row of dy it brings, for one channel of dy: where they are, seen from the row's first.
struct RowTap {
  Dim dy, w;
};

/// A row of dx: its first tap, and how many there are.
struct DataRow {
  Dim taps;
  Dim dy, w;
};

/// Positions of a walk, a block or (whole) some blocks of them.
struct DataStrip {
  Dim begin, count;
  // Of the window, i.e. of the outputs that the block takes from the last tap of its first position to the first tap of
  // its last one, those that exist.
  Dim window_begin, window_count;
};

struct DataRows {
  const DataRow* begin;
  const DataRow* end;
  const RowTap* taps;
};

using DataKernel = void (*)(const DataWalk& walk, const DataStrip& strip, const DataRows& rows, const float* dy,
                            const float* w, float* dx);

template <int kTaps, bool kWhole, bool kDense>
[[gnu::flatten]] void data_strip(const DataWalk& walk, const DataStrip& strip, const DataRows& rows, const float* dy,
                                 const float* w, float* dx) {
  using namespace simd;
  constexpr int kWindow = kPositions + kTaps - 1;
  const Dim dx_position = kDense ? kWidth : walk.dx_position, dy_output = kDense ? kWidth : walk.dy_output;
  const Dim w_tap = kDense ? kWidth : walk.w_tap;
  const bool first = walk.first, full = kWhole || strip.count == kPositions;
  const Dim count = strip.count, window_begin = strip.window_begin, window_count = strip.window_count;
  for (const DataRow* row = rows.begin; row != rows.end; ++row, dx += walk.dx_row) {
    const float* outputs = dy + row->dy;
    const float* filters = w + row->w;
    const RowTap* const end = rows.taps + row->taps;
    for (Dim i = 0; i < (kWhole ? count : 1); i += kPositions, outputs += kPositions * dy_output) {
      float* to = dx + i * dx_position;
      Vec sums[kPositions];
      if (first)
        unroll<kPositions>([&](auto j) __attribute__((always_inline)) { sums[j] = zero(); });
      else
        unroll<kPositions>([&](auto j) __attribute__((always_inline)) {
          sums[j] = full || j < count ? load(to + j * dx_position) : zero();
        });
      for (const RowTap* tap = rows.taps; tap != end; ++tap) {
        const float* output = outputs + tap->dy;
        const float* filter = filters + tap->w;
        Vec taps[kTaps];
        unroll<kTaps>([&](auto t) __attribute__((always_inline)) { taps[t] = load(filter + t * w_tap); });
        unroll<kWindow>([&](auto m) __attribute__((always_inline)) {
          if (kWhole || static_cast<std::size_t>(m - window_begin) < static_cast<std::size_t>(window_count)) {
            const Vec value = held(load(kDense ? output + m * kWidth : output));
            unroll<kTaps>([&](auto t) __attribute__((always_inline)) {
              constexpr int j = m + t - (kTaps - 1);
              if constexpr (j >= 0 && j < kPositions) sums[j] = fma(value, taps[t], sums[j]);
            });
          }
          if (!kDense) output += dy_output;
        });
      }
      if (full)
        unroll<kPositions>([&](auto j) __attribute__((always_inline)) { store(to + j * dx_position, sums[j]); });
      else
        unroll<kPositions>([&](auto j) __attribute__((always_inline)) {
          if (j < count) store(to + j * dx_position, sums[j]);
        });
    }
  }
}

}  // namespace convbwd::direct
