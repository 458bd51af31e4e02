// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/channel_vectors.h"

// Images as vectors of channels. Include this only in code compiled for one instruction set.
namespace convbwd::simd {

/// Where an image (x, dy, dx) has the channels of its groups: strides, in floats, from one of each to the next. A block
/// is a vector's worth of channels of a group, which are neighbours but in nchw. The packed layout is
///
///     packed[n][group][channel of the group / kWidth][h][w][channel % kWidth]
///
/// and nhwc is read and written as it is where blocks are full: has_full_blocks().
struct ImageLayout {
  Dim N, G, channels, H, W;  // channels of one group
  Dim pixel, block, group, image;
  Dim channel = 1;  // in a block

  Dim blocks() const { return blocks_of(channels); }
  Dim row() const { return W * pixel; }
  Dim floats() const { return N * image; }
  Dim offset(Dim n, Dim in_group, Dim in_block) const { return n * image + in_group * group + in_block * block; }

  void pack(View4<const float> plain, float* packed, int threads) const {
    for (Dim g = 0; g < G; ++g)
      pack_channels(channels_of(plain, g * channels, channels), packed + g * group, {image, block}, threads);
  }
  void unpack(const float* packed, View4<float> plain, int threads) const {
    for (Dim g = 0; g < G; ++g)
      unpack_channels(packed + g * group, channels_of(plain, g * channels, channels), {image, block}, threads);
  }
};

inline bool has_full_blocks(const Problem& problem) {
  return problem.C_per_group() % kWidth == 0 && problem.K_per_group() % kWidth == 0;
}

inline ImageLayout image_layout(const Problem& problem, Role role, bool nhwc) {
  const auto [N, channels, H, W] = problem.shape(role);
  const Dim G = problem.G, of_group = channels / G, plane = H * W * kWidth;
  if (nhwc) return {N, G, of_group, H, W, channels, kWidth, of_group, H * W * channels};
  const Dim group = blocks_of(of_group) * plane;
  return {N, G, of_group, H, W, kWidth, plane, group, G * group};
}

/// nchw as it is.
inline ImageLayout planes_layout(const Problem& problem, Role role) {
  const auto [N, channels, H, W] = problem.shape(role);
  const Dim plane = H * W, group = channels / problem.G * plane;
  return {N, problem.G, channels / problem.G, H, W, 1, kWidth * plane, group, problem.G * group, plane};
}

}  // namespace convbwd::simd
