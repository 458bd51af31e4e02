// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/channel_vectors.h"

// Images as vectors of channels. Include this only in code compiled for one instruction set.
namespace convbwd::simd {

/// Where an image (x, dy, dx) has the channels of its groups: strides, in floats, from one of each to the next. A block
/// is a vector's worth of channels of a group, which are neighbours but in nchw. The packed layout is
///
///     packed[n][group][channel of the group / kWidth][h][w][channel % kWidth]
struct ImageLayout {
  Dim N, G, channels, H, W;  // channels of one group
  Dim pixel, block, group, image;
  Dim channel = 1;  // in a block

  Dim blocks() const { return blocks_of(channels); }
  Dim row() const { return W * pixel; }
  Dim floats() const { return N * image; }
  Dim offset(Dim n, Dim in_group, Dim in_block) const { return n * image + in_group * group + in_block * block; }

  /// Pixels of a row, of one block.
  PixelRun<const float> row_at(const float* data, Dim in_block) const {
    return {data, std::min(kWidth, channels - in_block * kWidth), channel, W, pixel};
  }

  void pack(View4<const float> plain, float* packed, int threads) const {
    for (Dim g = 0; g < G; ++g)
      pack_channels(channels_of(plain, g * channels, channels), packed + g * group, {image, block}, threads);
  }
  void unpack(const float* packed, View4<float> plain, int threads) const {
    for (Dim g = 0; g < G; ++g)
      unpack_channels(packed + g * group, channels_of(plain, g * channels, channels), {image, block}, threads);
  }
};

/// Whether nhwc can be read and written by whole vectors.
inline bool has_full_blocks(const Problem& problem) {
  return problem.C_per_group() % kWidth == 0 && problem.K_per_group() % kWidth == 0;
}

/// `native` is the packed layout; the others are plain tensors as they are, whose blocks need not be full.
inline ImageLayout image_layout(const Problem& problem, Role role, Layout layout) {
  const auto [N, channels, H, W] = problem.shape(role);
  const Dim G = problem.G, of_group = channels / G, pixels = H * W, group = blocks_of(of_group) * pixels * kWidth;
  if (layout == Layout::nhwc) return {N, G, of_group, H, W, channels, kWidth, of_group, pixels * channels};
  if (layout == Layout::nchw)
    return {N, G, of_group, H, W, 1, kWidth * pixels, of_group * pixels, channels * pixels, pixels};
  return {N, G, of_group, H, W, kWidth, pixels * kWidth, group, G * group};
}

}  // namespace convbwd::simd
