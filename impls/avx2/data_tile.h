// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <immintrin.h>

#include "avx2/blocks.h"
#include "core/unroll.h"

namespace convbwd::avx2 {

/// What one tile of dx sums over: blocks of eight filters, and the taps of a sub-filter. Strides are in floats; from a
/// tap to the next dy goes backwards, for that is how an image position sees the outputs that read it.
struct DataSum {
  Dim k_blocks, rows, columns;
  Dim dy_k_block, dy_row, dy_column;
  Dim w_k_block;  // w is [k_block][row][column][8 k][kVectors * 8 c]; from w_k_block to the next
};

/// Where a tile goes: strides from a position, and from a vector of channels, to the next. `first`: the tile is
/// stored, otherwise it is added to what is there.
struct DataTarget {
  float* dx;
  Dim position, vector;
  bool first;
};

using DataTile = void (*)(const DataSum& sum, const float* dy, const float* w, const DataTarget& target);

// 3 vectors x 4 positions = 12 accumulators + 3 loads of w + 1 broadcast of dy = 16 of 16 ymm; 7 loads for 12 FMAs.
// Tried: 2 x 6 is as fast on wide images and 5 to 10 % slower on 7 columns, which it cuts into 4 + 3 positions of 2
// vectors.
inline constexpr Dim kTileVectors = 3;

/// Positions of a tile `vectors` wide. Where those are fewer than three, ten sums are enough to cover the latency of
/// two FMAs a cycle, and twelve would not leave gcc 12 the registers it wants.
constexpr Dim tile_positions(Dim vectors) { return (vectors == kTileVectors ? 12 : 10) / vectors; }
static_assert(tile_positions(3) * 3 + 3 + 1 <= 16, "accumulators, w and dy stay in registers");

/// Adds up kPositions neighbouring positions of a phase, kVectors * 8 channels each.
template <int kVectors, int kPositions>
void data_tile(const DataSum& sum, const float* dy, const float* w, const DataTarget& target) {
  // Indexed by compile-time constants alone, so it lives in registers. Plain loops under unroll pragmas are unrolled
  // too late for gcc 12 to see that, and it keeps the sums on the stack.
  __m256 dx[kPositions][kVectors];
  unroll<kPositions>([&](auto i) { unroll<kVectors>([&](auto v) { dx[i][v] = _mm256_setzero_ps(); }); });
  for (Dim k_block = 0; k_block < sum.k_blocks; ++k_block) {
    const float* filter = w + k_block * sum.w_k_block;
    for (Dim t = 0; t < sum.rows; ++t)
      for (Dim u = 0; u < sum.columns; ++u) {
        const float* output = dy + k_block * sum.dy_k_block - t * sum.dy_row - u * sum.dy_column;
        unroll<int{kLanes}>([&](auto k) {
          __m256 c[kVectors];
          unroll<kVectors>([&](auto v) { c[v] = _mm256_load_ps(filter + (k * kVectors + v) * kLanes); });
          unroll<kPositions>([&](auto i) {
            const __m256 dy_k = _mm256_broadcast_ss(output + i * kLanes + k);
            unroll<kVectors>([&](auto v) { dx[i][v] = _mm256_fmadd_ps(dy_k, c[v], dx[i][v]); });
          });
        });
        filter += kLanes * kVectors * kLanes;
      }
  }
  unroll<kPositions>([&](auto i) {
    unroll<kVectors>([&](auto v) {
      float* to = target.dx + i * target.position + v * target.vector;
      _mm256_store_ps(to, target.first ? dx[i][v] : _mm256_add_ps(_mm256_load_ps(to), dx[i][v]));
    });
  });
}

}  // namespace convbwd::avx2
