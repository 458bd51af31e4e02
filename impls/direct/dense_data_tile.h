// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <utility>

#include "core/gemm/register_tile.h"
#include "core/unroll.h"
#include "direct/dense_layout.h"

namespace convbwd::direct {

/// What one tile of dx sums over: filters, in blocks of kLanes, and the taps of a sub-filter. Strides are in floats;
/// from a tap to the next dy goes backwards, for that is how an image position sees the outputs that read it.
struct DataSum {
  Dim filters, rows, columns;
  Dim dy_block, dy_row, dy_column;
  Dim q, lag, Q;  // the first position reads column q - u * lag of Q through tap u
  Dim ahead;      // from dy of this tile to dy of the next
  Dim w_block;    // w is [block of filters][row][column][filter][kVectors * kLanes c]; from w_block to the next
};

/// Where a tile goes: strides from a position, and from a vector of channels, to the next. `first`: the tile is
/// stored, otherwise it is added to what is there.
struct DataTarget {
  float* dx;
  Dim position, vector;
  bool first;
};

using DataTile = void (*)(const DataSum& sum, const float* dy, const float* w, const DataTarget& target);

// 16 registers: 3 vectors x  4 positions = 12 sums + 3 loads of w + 1 broadcast of dy = 16;  7 loads for 12 FMAs
// 32 registers: 3 vectors x  9 positions = 27 sums + 3 loads of w + 1 broadcast of dy = 31; 12 loads for 27 FMAs
//               2 vectors x 14 positions = 28 sums + 2 loads of w + 1 broadcast of dy = 31; 16 loads for 28 FMAs
inline constexpr Dim kTileVectors = 3;
constexpr Dim tile_positions(Dim vectors) {
  if (simd::kRegisters == 32) return vectors == 3 ? 9 : 14;
  return vectors == 3 ? 4 : vectors == 2 ? 5 : 10;
}
static_assert(tile_positions(3) * 3 + 3 + 1 <= simd::kRegisters, "sums, w and dy stay in registers");
static_assert(tile_positions(2) * 2 + 2 + 1 <= simd::kRegisters, "sums, w and dy stay in registers");

/// Adds the filters of one block through one tap to the positions [begin, end) of a tile.
template <int begin, int end, class Tile>
[[gnu::always_inline]] inline void add_tap(Tile& tile, Dim filters, const float* dy, const float* w, Dim vectors) {
#pragma GCC unroll 4
  for (Dim lane = 0; lane < filters; ++lane, w += vectors * kLanes)
    tile.template add_product<begin, end>(dy + lane, kLanes, w, kLanes);
}

/// Adds up `positions` neighbouring positions of a phase, vectors * kLanes channels each. Where the first or the last
/// of them reads a margin through some tap, it is left out of that tap: on an image 7 wide a tenth of all products of a
/// 3-wide filter are with zeros.
template <int vectors, int positions>
void data_tile(const DataSum& sum, const float* dy, const float* w, const DataTarget& target) {
  gemm::RegisterTile<positions, vectors> tile;
  tile.clear();
  // dx comes from memory where there are few filters: it is asked for while the sums are made.
  unroll<positions>([&](auto i) {
    unroll<vectors>([&](auto v) { __builtin_prefetch(target.dx + i * target.position + v * target.vector, 1); });
  });
  for (Dim k = 0; k < sum.filters; k += kLanes, w += sum.w_block, dy += sum.dy_block) {
    const Dim filters = std::min(kLanes, sum.filters - k);
    const float* filter = w;
    unroll<positions>([&](auto i) { __builtin_prefetch(dy + sum.ahead + i * kLanes, 0, 2); });
    for (Dim t = 0; t < sum.rows; ++t)
      for (Dim u = 0; u < sum.columns; ++u, filter += kLanes * vectors * kLanes) {
        const float* output = dy - t * sum.dy_row - u * sum.dy_column;
        const Dim q = sum.q - u * sum.lag;
        if (q == -1)
          add_tap<1, positions>(tile, filters, output, filter, vectors);
        else if (q + positions == sum.Q + 1)
          add_tap<0, positions - 1>(tile, filters, output, filter, vectors);
        else
          add_tap<0, positions>(tile, filters, output, filter, vectors);
      }
  }
  tile.store(target.dx, target.position, target.vector, !target.first);
}

/// data_tile<vectors, positions>, by positions - 1.
template <int vectors>
inline constexpr auto kDataTiles = []<int... kIndex>(std::integer_sequence<int, kIndex...>) {
  return std::array<DataTile, sizeof...(kIndex)>{data_tile<vectors, kIndex + 1>...};
}
(std::make_integer_sequence<int, int{tile_positions(vectors)}>{});

}  // namespace convbwd::direct
