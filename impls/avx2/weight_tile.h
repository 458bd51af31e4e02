// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <immintrin.h>

#include "avx2/blocks.h"
#include "core/unroll.h"

namespace convbwd::avx2 {

// 3 streams x 4 filters = 12 accumulators + 3 loads of x + 1 broadcast of dy = 16 of 16 ymm; 7 loads for 12 FMAs. (One
// filter x 12 streams would need 13 loads, more than the two load ports bring while the FMAs run.) Tried: a prefetch of
// dy for the next filters, which won 14 % on one layer (1x1, 64 to 256 channels, 56 x 56), lost 3 % on 7 x 7 and was
// lost on the rest.
inline constexpr Dim kTileStreams = 3;
inline constexpr int kTileFilters = 4;
static_assert(kTileStreams * kTileFilters + kTileStreams + 1 <= 16, "accumulators, x and dy stay in registers");
static_assert(kLanes % kTileFilters == 0, "the filters of a tile lie in one vector of dy");

/// What one tile of dw sums over: the columns of the rows of some images. A stream is what one tap of the filter sees
/// of one vector of channels of x while the output columns go by. Strides are in floats.
struct WeightSum {
  Dim images, rows, columns;
  Dim x_image, x_row, x_column;
  Dim dy_image, dy_row;
  Dim streams[kTileStreams];  // from x to where each begins
};

using WeightTile = void (*)(const WeightSum& sum, const float* x, const float* dy, float* dw, bool first);

/// Adds up dw[kTileFilters][kStreams][8 channels]. `first`: the tile is stored, otherwise added to what is there.
template <int kStreams>
void weight_tile(const WeightSum& sum, const float* x, const float* dy, float* dw, bool first) {
  __m256 tile[kTileFilters][kStreams];
  unroll<kTileFilters>([&](auto k) { unroll<kStreams>([&](auto j) { tile[k][j] = _mm256_setzero_ps(); }); });
  for (Dim image = 0; image < sum.images; ++image)
    for (Dim row = 0; row < sum.rows; ++row) {
      const float* output = dy + image * sum.dy_image + row * sum.dy_row;
      const float* const end = output + sum.columns * kLanes;
      for (const float* pixel = x + image * sum.x_image + row * sum.x_row; output != end;
           output += kLanes, pixel += sum.x_column) {
        __m256 c[kStreams];
        unroll<kStreams>([&](auto j) { c[j] = _mm256_load_ps(pixel + sum.streams[j]); });
        unroll<kTileFilters>([&](auto k) {
          const __m256 dy_k = _mm256_broadcast_ss(output + k);
          unroll<kStreams>([&](auto j) { tile[k][j] = _mm256_fmadd_ps(dy_k, c[j], tile[k][j]); });
        });
      }
    }
  unroll<kTileFilters>([&](auto k) {
    unroll<kStreams>([&](auto j) {
      float* to = dw + (k * kStreams + j) * kLanes;
      _mm256_store_ps(to, first ? tile[k][j] : _mm256_add_ps(_mm256_load_ps(to), tile[k][j]));
    });
  });
}

}  // namespace convbwd::avx2
