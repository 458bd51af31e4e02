// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "core/channel_vectors.h"
#include "core/ranges.h"

namespace convbwd::direct {

/// Floats in a register: the channels of a vector.
inline constexpr Dim kLanes = simd::kWidth;

/// Images (x, dy, dx) as vectors of channels, those of each group apart:
///
///     packed[n][group][channel of the group / kLanes][h][w][channel % kLanes]
struct ImageLayout {
  Dim N, G, channels, H, W;  // channels of one group

  Dim blocks() const { return simd::blocks_of(channels); }
  Dim plane() const { return H * W * kLanes; }
  Dim floats() const { return N * G * blocks() * plane(); }
  Dim offset(Dim n, Dim group, Dim block) const { return ((n * G + group) * blocks() + block) * plane(); }

  void pack(View4<const float> plain, float* packed, int threads) const {
    for (Dim group = 0; group < G; ++group)
      simd::pack_channels(simd::channels_of(plain, group * channels, channels), packed + offset(0, group, 0), strides(),
                          threads);
  }
  void unpack(const float* packed, View4<float> plain, int threads) const {
    for (Dim group = 0; group < G; ++group)
      simd::unpack_channels(packed + offset(0, group, 0), simd::channels_of(plain, group * channels, channels),
                            strides(), threads);
  }

 private:
  simd::BlockStrides strides() const { return {G * blocks() * plane(), plane()}; }
};

inline ImageLayout image_layout(const Problem& problem, Role role) {
  const auto [N, channels, H, W] = problem.shape(role);
  return {N, problem.G, channels / problem.G, H, W};
}

/// The taps of one filter and one block of channels as vectors, tap after tap, in `taps`.
inline void pack_taps(View4<const float> w, Dim k, Dim block, float* taps) {
  const auto [K, C, R, S] = w.extent;
  for (Dim r = 0; r < R; ++r)
    simd::pack({&w(k, block * kLanes, r, 0), std::min(kLanes, C - block * kLanes), w.stride[1], S, w.stride[3]},
               taps + r * S * kLanes);
}

/// A dense, unpadded 1x1 layer does not know where its rows end: joins as many rows as give at most kMostJoined
/// columns, which leaves fewer and fuller tiles. Any other problem is returned as it is.
inline Problem with_joined_rows(const Problem& problem) {
  constexpr Dim kMostJoined = 128;
  const bool rows_do_not_matter = problem.R * problem.S * problem.stride_h * problem.stride_w == 1 &&
                                  problem.P == problem.H && problem.Q == problem.W &&
                                  problem.pad_top + problem.pad_left == 0;
  Problem joined = problem;
  for (Dim rows = rows_do_not_matter ? std::min(problem.H, kMostJoined / problem.W) : 0; rows > 1; --rows)
    if (problem.H % rows == 0) {
      joined.H = joined.P = problem.H / rows;
      joined.W = joined.Q = problem.W * rows;
      break;
    }
  return joined;
}

}  // namespace convbwd::direct
