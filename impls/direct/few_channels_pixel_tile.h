// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <utility>

#include "core/caches.h"
#include "core/simd.h"
#include "core/unroll.h"

namespace convbwd::direct {

/// What a tile of dx sums over: filters, and taps. A plane of dy is that of one filter, with margins; a tap is where
/// its dy lies, in floats from that of the position.
struct PixelSum {
  Dim filters, plane;
  const Dim* taps;
  Dim tap_count;
  Dim out_plane;  // floats from an output to the next in what a tile writes
  bool first;     // the tile is stored; otherwise it is added to what is there

  const float* ahead;  // cache lines of each filter that will be wanted later
  Dim ahead_plane, ahead_lines;
};

/// w is [filter][tap][kOutputs].
using PixelTile = void (*)(const PixelSum& sum, const float* dy, const float* w, float* out);

// A tile is outputs (a channel of a column phase) x vectors of positions. With 32 registers 3 x 8 = 24 sums, 3 weights
// and a vector of dy make 28; with 16 registers 3 x 4 + 3 + 1 = 16.
inline constexpr int kMostSums = simd::kRegisters == 32 ? 24 : 12;
inline constexpr Dim kMostOutputs = simd::kRegisters == 32 ? 12 : 6;

constexpr Dim tile_vectors(Dim outputs) { return std::min<Dim>(kMostSums / outputs, simd::kRegisters == 32 ? 12 : 10); }

template <int kOutputs, int kVectors>
void pixel_tile(const PixelSum& sum, const float* dy, const float* w, float* out) {
  using namespace simd;
  Vec tile[kOutputs][kVectors];
  unroll<kOutputs>([&](auto o) { unroll<kVectors>([&](auto v) { tile[o][v] = zero(); }); });
  const float* ahead = sum.ahead;
  for (Dim k = 0; k < sum.filters; ++k, dy += sum.plane, ahead += sum.ahead_plane) {
    for (Dim line = 0; line < sum.ahead_lines; ++line) __builtin_prefetch(ahead + line * kLine, 0, 2);
    for (Dim t = 0; t < sum.tap_count; ++t, w += kOutputs) {
      const float* const pixels = dy + sum.taps[t];
      if constexpr (kOutputs <= kVectors) {
        if constexpr (kRegisters == 16) {
          __builtin_prefetch(pixels + sum.plane);
          __builtin_prefetch(pixels + sum.plane + kLine);
        }
        Vec weight[kOutputs];
        unroll<kOutputs>([&](auto o) { weight[o] = broadcast(w[o]); });
        unroll<kVectors>([&](auto v) {
          const Vec pixel = held(load(pixels + v * kWidth));
          unroll<kOutputs>([&](auto o) { tile[o][v] = fma(weight[o], pixel, tile[o][v]); });
        });
      } else {
        Vec pixel[kVectors];
        unroll<kVectors>([&](auto v) { pixel[v] = held(load(pixels + v * kWidth)); });
        unroll<kOutputs>([&](auto o) {
          const Vec weight = broadcast(w[o]);
          unroll<kVectors>([&](auto v) { tile[o][v] = fma(weight, pixel[v], tile[o][v]); });
        });
      }
    }
  }
  const auto place = [&](auto o, auto v) { return out + o * sum.out_plane + v * kWidth; };
  if (!sum.first)
    unroll<kOutputs>([&](auto o) { unroll<kVectors>([&](auto v) { tile[o][v] = tile[o][v] + load(place(o, v)); }); });
  unroll<kOutputs>([&](auto o) { unroll<kVectors>([&](auto v) { store(place(o, v), tile[o][v]); }); });
}

/// By outputs - 1 and vectors - 1.
using PixelTiles = std::array<std::array<PixelTile, 12>, kMostOutputs>;

constexpr PixelTiles pixel_tiles() {
  PixelTiles tiles{};
  unroll<int{kMostOutputs}>(
      [&](auto o) { unroll<int{tile_vectors(o + 1)}>([&](auto v) { tiles[o][v] = pixel_tile<o + 1, v + 1>; }); });
  return tiles;
}

/// In few_channels_data.cpp, which alone compiles them.
extern const PixelTiles kPixelTiles;

}  // namespace convbwd::direct
