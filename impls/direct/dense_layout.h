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

}  // namespace convbwd::direct
