// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <type_traits>

#include "core/unroll.h"
#include "direct/dense_layout.h"

namespace convbwd::direct {

// 16 registers: 3 streams x 4 filters = 12 sums + 3 loads of x + 1 broadcast of dy = 16;  7 loads for 12 FMAs
// 32 registers: 3 streams x 8 filters = 24 sums + 3 loads of x + 1 broadcast of dy = 28; 11 loads for 24 FMAs
inline constexpr Dim kTileStreams = 3;
inline constexpr int kTileFilters = simd::kRegisters == 32 && kLanes >= 8 ? 8 : 4;
static_assert(kTileStreams * kTileFilters + kTileStreams + 1 <= simd::kRegisters, "sums, x and dy stay in registers");
static_assert(kLanes % kTileFilters == 0, "the filters of a tile lie in one vector of dy");

/// What one tile of dw sums over: the columns of the rows of some images. A stream is what one tap of the filter sees
/// of one vector of channels of x while the output columns go by. Strides are in floats; the columns of dy are vectors
/// that follow one another.
struct WeightSum {
  Dim images, rows, columns;
  Dim x_image, x_row, x_column;
  Dim dy_image, dy_row;
  bool skip_first, skip_last;  // the first stream reads a margin in the first column, the last one in the last column
  Dim streams[kTileStreams];   // from x to where each begins
};

using WeightTile = void (*)(const WeightSum& sum, const float* x, const float* dy, float* dw, bool first);

/// Adds up dw[kTileFilters][kStreams][kLanes channels]. `first`: the tile is stored, otherwise added to what is there.
template <int kStreams>
void weight_tile(const WeightSum& sum, const float* x, const float* dy, float* dw, bool first) {
  using simd::Vec;
  Vec tile[kTileFilters][kStreams];
  unroll<kTileFilters>([&](auto k) { unroll<kStreams>([&](auto j) { tile[k][j] = simd::zero(); }); });
  // The products of one output column, without those of `skip_first` streams at the front and `skip_last` at the end.
  const auto add_column = [&]<int skip_first, int skip_last>(const float* output, const float* pixel)
      __attribute__((always_inline)) {
    constexpr int streams = kStreams - skip_first - skip_last;
    Vec c[kStreams];
    unroll<streams>([&](auto j) { c[j + skip_first] = simd::load(pixel + sum.streams[j + skip_first]); });
    unroll<kTileFilters>([&](auto k) {
      const Vec dy_k = simd::broadcast(output[k]);
      unroll<streams>(
          [&](auto j) { tile[k][j + skip_first] = simd::fma(dy_k, c[j + skip_first], tile[k][j + skip_first]); });
    });
  };
  const auto add_rows = [&](auto stride) __attribute__((always_inline)) {
    const Dim x_column = stride ? stride * kLanes : sum.x_column;
    for (Dim image = 0; image < sum.images; ++image)
      for (Dim row = 0; row < sum.rows; ++row) {
        const float* output = dy + image * sum.dy_image + row * sum.dy_row;
        const float* pixel = x + image * sum.x_image + row * sum.x_row;
        Dim columns = sum.columns - sum.skip_last;
        if (sum.skip_first) {
          add_column.template operator()<1, 0>(output, pixel);
          output += kLanes, pixel += x_column, --columns;
        }
#pragma GCC unroll 4
        for (; columns > 0; --columns, output += kLanes, pixel += x_column)
          add_column.template operator()<0, 0>(output, pixel);
        if (sum.skip_last) add_column.template operator()<0, 1>(output, pixel);
      }
  };
  // With the stride known when compiling (0: it is not), four columns share their additions: 20 instructions for 12
  // FMAs, not 24. Where another thread runs on the core and takes its share of them, that counts: 1x1 1.0 to 1.05 times
  // as fast alone, 1.2 to 1.4 times beside a busy neighbour; stride 2 1.0 and 1.05 (Zen 3, AVX2). Prefetches of the
  // next dy and x cost what they gained, those of dw gained nothing.
  if (sum.x_column == kLanes)
    add_rows(std::integral_constant<int, 1>{});
  else if (sum.x_column == 2 * kLanes)
    add_rows(std::integral_constant<int, 2>{});
  else
    add_rows(std::integral_constant<int, 0>{});
  unroll<kTileFilters>([&](auto k) {
    unroll<kStreams>([&](auto j) {
      float* to = dw + (k * kStreams + j) * kLanes;
      simd::store(to, first ? tile[k][j] : simd::load(to) + tile[k][j]);
    });
  });
}

}  // namespace convbwd::direct
