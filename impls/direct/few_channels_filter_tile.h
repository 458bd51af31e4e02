// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>

#include "core/simd.h"
#include "core/unroll.h"

namespace convbwd::direct {

// With 32 registers 6 streams x 4 vectors = 24 sums, 4 vectors of dy and a number of x make 29; with 16 registers
// 4 x 3 + 3 + 1 = 16, 7 loads for 12 FMAs. Where filters are few more streams take their place, as long as an address
// each is to be had (with AVX-512 some of 12 are on the stack).
inline constexpr Dim kMostFilterVectors = simd::kRegisters == 32 ? 4 : 3;
inline constexpr int kMostStreams = simd::kRegisters == 32 ? 12 : 10;

constexpr Dim tile_streams(Dim vectors) {
  constexpr Dim many[] = {12, 12, 9, 6}, few[] = {10, 6, 4};
  return simd::kRegisters == 32 ? many[vectors - 1] : few[vectors - 1];
}

/// What a tile of dw sums over: the columns of the rows of some images. A stream is what a tap of the filter sees of a
/// channel of x while the output columns go by. Strides are in floats.
struct FilterSum {
  Dim images, rows, columns;
  Dim dy_image, dy_row, dy_vector;
  Dim x_image, x_row, x_column;
  const Dim* streams;  // from x to where each begins
  bool first;          // the tile is stored; otherwise it is added to what is there
  Dim ahead;           // from dy to that which will be wanted later
};

/// dw is [stream][vector of filters].
using FilterTile = void (*)(const FilterSum& sum, const float* x, const float* dy, float* dw);

template <int kStreams, int kVectors>
void filter_tile(const FilterSum& sum, const float* x, const float* dy, float* dw) {
  using namespace simd;
  Vec tile[kStreams][kVectors];
  unroll<kStreams>([&](auto j) { unroll<kVectors>([&](auto v) { tile[j][v] = zero(); }); });
  for (Dim image = 0; image < sum.images; ++image)
    for (Dim row = 0; row < sum.rows; ++row) {
      const float* output = dy + image * sum.dy_image + row * sum.dy_row;
      const float* const end = output + sum.columns * kWidth;
      Dim streams[kStreams];
      unroll<kStreams>([&](auto j) {
        streams[j] = sum.streams[j];
        asm("" : "+r"(streams[j]));  // gcc 12 would load it again in each column: 7x7 of stride 2 82 -> 86 % of peak
      });
      for (const float* pixel = x + image * sum.x_image + row * sum.x_row; output != end;
           output += kWidth, pixel += sum.x_column) {
        Vec k[kVectors];
        unroll<kVectors>([&](auto v) { k[v] = held(load(output + v * sum.dy_vector)); });
        __builtin_prefetch(output + sum.ahead, 0, 2);
        unroll<kStreams>([&](auto j) {
          const Vec x_j = broadcast(pixel[streams[j]]);
          unroll<kVectors>([&](auto v) { tile[j][v] = fma(x_j, k[v], tile[j][v]); });
        });
      }
    }
  unroll<kStreams>([&](auto j) {
    unroll<kVectors>([&](auto v) {
      float* const to = dw + (j * kVectors + v) * kWidth;
      store(to, sum.first ? tile[j][v] : tile[j][v] + load(to));
    });
  });
}

/// By vectors - 1 and streams - 1.
using FilterTiles = std::array<std::array<FilterTile, kMostStreams>, kMostFilterVectors>;

constexpr FilterTiles filter_tiles() {
  FilterTiles tiles{};
  unroll<int{kMostFilterVectors}>(
      [&](auto v) { unroll<int{tile_streams(v + 1)}>([&](auto j) { tiles[v][j] = filter_tile<j + 1, v + 1>; }); });
  return tiles;
}

}  // namespace convbwd::direct
