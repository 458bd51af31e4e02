// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <utility>

#include "core/gemm/register_tile.h"
#include "core/unroll.h"
#include "direct/dense_layout.h"

namespace convbwd::direct {

/// What tiles of dx sum over: a slab of filters through the taps of a sub-filter. Strides are in floats; from a tap to
/// the next dy goes backwards, for that is how an image position sees the outputs that read it.
struct DataSum {
  Dim blocks, rest;   // filters: whole blocks of kLanes, and some of one more
  Dim rows, columns;  // taps
  Dim dy_block, dy_row, dy_column;
  Dim q, lag, Q;     // the first position of the first tile reads column q - u * lag of Q through tap u
  Dim w_row, w_tap;  // w is [row][column][filter][vectors * kLanes c]
};

/// Where tiles go: strides from a position, and from a vector of channels, to the next. `first`: a tile is stored,
/// otherwise it is added to what is there.
struct DataTarget {
  float* dx;
  Dim position, vector;
  bool first;
};

/// The most positions at one end of a tile that a tap leaves out, for they read a margin.
inline constexpr int kMostCut = 3;

/// Neighbouring tiles of one size.
using DataTiles = void (*)(Dim tiles, const DataSum& sum, const float* dy, const float* w, const DataTarget& target);

// 16 registers: 3 vectors x  4 positions = 12 sums + 3 loads of w + 1 broadcast of dy = 16;  7 loads for 12 FMAs
//               2 vectors x  6 positions = 12 sums + 2 loads of w + 1 broadcast of dy = 15;  8 loads for 12 FMAs
// 32 registers: 3 vectors x  9 positions = 27 sums + 3 loads of w + 1 broadcast of dy = 31; 12 loads for 27 FMAs
//               2 vectors x 14 positions = 28 sums + 2 loads of w + 1 broadcast of dy = 31; 16 loads for 28 FMAs
inline constexpr Dim kTileVectors = 3;
constexpr Dim tile_positions(Dim vectors) {
  if (simd::kRegisters == 32) return vectors == 3 ? 9 : 14;
  return vectors == 3 ? 4 : vectors == 2 ? 6 : 10;
}
static_assert(tile_positions(3) * 3 + 3 + 1 <= simd::kRegisters, "sums, w and dy stay in registers");
static_assert(tile_positions(2) * 2 + 2 + 1 <= simd::kRegisters, "sums, w and dy stay in registers");

/// Adds a slab of filters through one tap to the positions [begin, end) of a tile. A block has no branch inside: the
/// loop is left once a tap, not once every few dozen cycles.
template <int begin, int end, int positions, int vectors>
[[gnu::always_inline]] inline void add_tap(gemm::RegisterTile<positions, vectors>& tile, const DataSum& sum,
                                           const float* dy, const float* w) {
  constexpr int kStep = std::min<int>(kLanes, 8);
  for (Dim block = 0; block < sum.blocks; ++block, dy += sum.dy_block)
    for (Dim lane = 0; lane < kLanes; lane += kStep, w += kStep * vectors * kLanes)
      unroll<kStep>([&](auto i) __attribute__((always_inline)) {
        tile.template add_product<begin, end>(dy + lane + i, kLanes, w + i * vectors * kLanes, kLanes);
      });
  for (Dim lane = 0; lane < sum.rest; ++lane, w += vectors * kLanes)
    tile.template add_product<begin, end>(dy + lane, kLanes, w, kLanes);
}

/// Adds up tiles of `positions` neighbouring positions of a phase, vectors * kLanes channels each. A tap through which
/// all of a tile's positions read a margin is left out; where some do, up to kMostCut at the end that has more: on an
/// image 7 wide a tenth of all products of a 3-wide filter are with zeros. Zen 3, AVX2, % of peak: 3x3 dilated by 2 on
/// 28 x 28 84 -> 87, 5x5 without a pad on 12 x 12 61 -> 68.
template <int vectors, int positions>
void data_tiles(Dim tiles, const DataSum& sum, const float* dy, const float* w, const DataTarget& target) {
  float* dx = target.dx;
  Dim first = sum.q;
  // Through one tap, with nothing to leave out, a sum is so short that what is beside it counts.
  if (sum.rows * sum.columns == 1 && first >= 0 && first + tiles * positions <= sum.Q && target.position == kLanes) {
    for (Dim j = 0; j < tiles; ++j, dx += positions * kLanes, dy += positions * kLanes) {
      gemm::RegisterTile<positions, vectors> tile;
      tile.clear();
      add_tap<0, positions>(tile, sum, dy, w);
      tile.store(dx, kLanes, target.vector, !target.first);
    }
    return;
  }
  for (Dim j = 0; j < tiles; ++j) {
    gemm::RegisterTile<positions, vectors> tile;
    tile.clear();
    for (Dim t = 0; t < sum.rows; ++t)
      for (Dim u = 0; u < sum.columns; ++u) {
        const float* output = dy - t * sum.dy_row - u * sum.dy_column;
        const float* filter = w + t * sum.w_row + u * sum.w_tap;
        const Dim before = u * sum.lag - first, after = positions - before - sum.Q;  // positions left and right of dy
        const Dim outside = std::max(before, after);
        if (outside >= positions) continue;
        const Dim cut = std::clamp<Dim>(outside, 0, kMostCut);
        unroll<std::min(kMostCut, positions - 1) + 1>([&](auto i) __attribute__((always_inline)) {
          constexpr int kCut = i;
          if (cut != kCut) return;
          if constexpr (kCut == 0)
            add_tap<0, positions>(tile, sum, output, filter);
          else if (before >= after)
            add_tap<kCut, positions>(tile, sum, output, filter);
          else
            add_tap<0, positions - kCut>(tile, sum, output, filter);
        });
      }
    tile.store(dx, target.position, target.vector, !target.first);
    dx += positions * target.position;
    dy += positions * kLanes;
    first += positions;
  }
}

/// data_tiles<vectors, positions>, by positions - 1.
template <int vectors>
inline constexpr auto kDataTiles = []<int... kIndex>(std::integer_sequence<int, kIndex...>) {
  return std::array<DataTiles, sizeof...(kIndex)>{data_tiles<vectors, kIndex + 1>...};
}
(std::make_integer_sequence<int, int{tile_positions(vectors)}>{});

}  // namespace convbwd::direct
