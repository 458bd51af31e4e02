// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "core/channel_vectors.h"
#include "core/ranges.h"

namespace convbwd::direct {

/// Floats in a register: the channels of a vector.
inline constexpr Dim kLanes = simd::kWidth;

/// Where an image (x, dy, dx) has the channels of its groups: strides, in floats, from one of each to the next. A block
/// is a vector's worth of channels of a group, which are always neighbours. The folder's own layout has
///
///     packed[n][group][channel of the group / kLanes][h][w][channel % kLanes]
///
/// and nhwc is read and written as it is where blocks are full: has_full_blocks().
struct ImageLayout {
  Dim N, G, channels, H, W;  // channels of one group
  Dim pixel, block, group, image;

  Dim blocks() const { return simd::blocks_of(channels); }
  Dim row() const { return W * pixel; }
  Dim floats() const { return N * image; }
  Dim offset(Dim n, Dim in_group, Dim in_block) const { return n * image + in_group * group + in_block * block; }

  void pack(View4<const float> plain, float* packed, int threads) const {
    for (Dim g = 0; g < G; ++g)
      simd::pack_channels(simd::channels_of(plain, g * channels, channels), packed + g * group, {image, block},
                          threads);
  }
  void unpack(const float* packed, View4<float> plain, int threads) const {
    for (Dim g = 0; g < G; ++g)
      simd::unpack_channels(packed + g * group, simd::channels_of(plain, g * channels, channels), {image, block},
                            threads);
  }
};

inline bool has_full_blocks(const Problem& problem) {
  return problem.C_per_group() % kLanes == 0 && problem.K_per_group() % kLanes == 0;
}

inline ImageLayout image_layout(const Problem& problem, Role role, bool nhwc) {
  const auto [N, channels, H, W] = problem.shape(role);
  const Dim G = problem.G, of_group = channels / G, plane = H * W * kLanes;
  if (nhwc) return {N, G, of_group, H, W, channels, kLanes, of_group, H * W * channels};
  const Dim group = simd::blocks_of(of_group) * plane;
  return {N, G, of_group, H, W, kLanes, plane, group, G * group};
}

/// One block of the pixels of a row, `pixel` floats apart, from column columns.begin on: zeros where there is none.
inline void copy_block_row(const float* row, Dim pixel, Dim width, Range columns, float* to) {
  const Range inside{std::max<Dim>(0, columns.begin), std::min(width, columns.end)};
  float* const first = to + (inside.begin - columns.begin) * kLanes;
  std::fill(to, first, 0.0f);
  for (Dim i = 0; i < inside.size(); ++i) simd::store(first + i * kLanes, simd::load(row + (inside.begin + i) * pixel));
  std::fill(first + inside.size() * kLanes, to + columns.size() * kLanes, 0.0f);
}

/// The taps of one filter and one block of channels as vectors, tap after tap, in `taps`.
inline void pack_taps(View4<const float> w, Dim k, Dim block, float* taps) {
  const auto [K, C, R, S] = w.extent;
  for (Dim r = 0; r < R; ++r)
    simd::pack({&w(k, block * kLanes, r, 0), std::min(kLanes, C - block * kLanes), w.stride[1], S, w.stride[3]},
               taps + r * S * kLanes);
}

}  // namespace convbwd::direct
