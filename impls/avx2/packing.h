// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <immintrin.h>

#include <algorithm>

#include "avx2/blocks.h"
#include "core/tensor.h"

namespace convbwd::avx2 {

/// Eight neighbouring positions of a tensor, each a vector of eight channels. What lies beyond the tensor is 0.
struct Strip {
  __m256 at[kLanes];
};

/// `channels` and `positions` (1...8) count what lies within the tensor, and nothing else is touched.
Strip read_strip(const float* plain, Dim channel_stride, Dim position_stride, Dim channels, Dim positions);
void write_strip(const Strip& strip, float* plain, Dim channel_stride, Dim position_stride, Dim channels,
                 Dim positions);

/// The second and third axes of a plain tensor as one axis of positions. In nchw and nhwc the rows of an image follow
/// each other at the distance of neighbours, so a strip may run over the end of one; otherwise it must not.
template <class T>
struct Positions {
  explicit Positions(View4<T> tensor)
      : view(tensor),
        joined(view.stride[2] == view.extent[3] * view.stride[3]),
        rows(joined ? 1 : view.extent[2]),
        columns(joined ? view.extent[2] * view.extent[3] : view.extent[3]) {}

  /// Calls visit(position, count, address) for every strip of channel b, b + 1, ... of entry a.
  template <class Visit>
  void for_each_strip(Dim a, Dim b, Visit visit) const {
    for (Dim row = 0; row < rows; ++row)
      for (Dim column = 0; column < columns; column += kLanes)
        visit(row * columns + column, std::min(kLanes, columns - column),
              view.data + a * view.stride[0] + b * view.stride[1] + row * view.stride[2] + column * view.stride[3]);
  }

  View4<T> view;
  bool joined;
  Dim rows, columns;
};

/// A plain tensor of images (N, channels, height, width; any strides) to vectors of channels and back:
///
///     packed[n][channel / 8][h][w][channel % 8]      for 3 channels:  c0 c1 c2 0 0 0 0 0 | c0 c1 c2 0 0 0 0 0 | ...
///                                                                     h = 0, w = 0         h = 0, w = 1
void pack_images(View4<const float> plain, float* packed, int threads);
void unpack_images(const float* packed, View4<float> plain, int threads);

}  // namespace convbwd::avx2
