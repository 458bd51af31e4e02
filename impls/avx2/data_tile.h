// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <immintrin.h>

#include "avx2/blocks.h"

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

// 2 x 6 accumulators + 2 loads of w + 1 broadcast of dy = 15 of 16 ymm; 8 loads for 12 FMAs, where the two load ports
// could do 12. The chains of 12 sums cover the latency of two FMAs a cycle, 8 to 10 of them in flight.
inline constexpr Dim kTileVectors = 2;
inline constexpr Dim kTileSums = 12;
static_assert(kTileSums + kTileVectors + 1 <= 16, "accumulators, w and dy stay in registers");

/// Positions of a tile `vectors` wide: a lone vector of channels takes twice as many.
constexpr Dim tile_positions(Dim vectors) { return kTileSums / vectors; }

/// Adds up kPositions neighbouring positions of a phase, kVectors * 8 channels each.
template <Dim kVectors, Dim kPositions>
void data_tile(const DataSum& sum, const float* dy, const float* w, const DataTarget& target) {
  __m256 dx[kPositions][kVectors];
  unroll<kPositions>([&](auto i) { unroll<kVectors>([&](auto v) { dx[i][v] = _mm256_setzero_ps(); }); });
  for (Dim k_block = 0; k_block < sum.k_blocks; ++k_block) {
    const float* filter = w + k_block * sum.w_k_block;
    for (Dim t = 0; t < sum.rows; ++t)
      for (Dim u = 0; u < sum.columns; ++u) {
        const float* output = dy + k_block * sum.dy_k_block - t * sum.dy_row - u * sum.dy_column;
        unroll<kLanes>([&](auto k) {
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
