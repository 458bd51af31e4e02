// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <tuple>
#include <utility>

#include "core/simd.h"
#include "core/transpose.h"
#include "core/unroll.h"

// Rows of pixels, moved and interleaved.
namespace convbwd::direct {

inline void copy_row(const float* from, Dim pixel_stride, float* to, Dim count) {
  using namespace simd;
  if (pixel_stride != 1) {
    for (Dim i = 0; i < count; ++i) to[i] = from[i * pixel_stride];
    return;
  }
  Dim i = 0;
  for (; i + kWidth <= count; i += kWidth) store(to + i, load(from + i));
  if (i < count) store(to + i, load(from + i, count - i), count - i);
}

/// Rows of the channels [0, channels) from a tensor whose channels are neighbours, each to a plane of its own.
inline void copy_rows_of_channels(const float* from, Dim pixel_stride, Dim channels, float* to, Dim plane, Dim count) {
  using namespace simd;
  for (Dim c = 0; c < channels; c += kWidth)
    for (Dim i = 0; i < count; i += kWidth) {
      const Dim lanes = std::min(kWidth, channels - c), pixels = std::min(kWidth, count - i);
      Vec block[kWidth];
      for (Dim j = 0; j < kWidth; ++j) block[j] = j < pixels ? load(from + (i + j) * pixel_stride + c, lanes) : zero();
      transpose(block);
      for (Dim j = 0; j < lanes; ++j) store(to + (c + j) * plane + i, block[j], pixels);
    }
}

/// a0 b0 a1 b1 ... of the first halves, and of the second.
[[gnu::always_inline]] inline std::pair<simd::Vec, simd::Vec> zip(simd::Vec a, simd::Vec b) {
  using namespace simd;
  return [&]<int... lane>(std::integer_sequence<int, lane...>) {
    constexpr int width = int{kWidth};
    return std::pair{Vec{__builtin_shufflevector(a.v, b.v, (lane % 2 * width + lane / 2)...)},
                     Vec{__builtin_shufflevector(a.v, b.v, (lane % 2 * width + lane / 2 + width / 2)...)}};
  }
  (std::make_integer_sequence<int, int{kWidth}>{});
}

/// to[i * kStride + b] = from[b][i], by log2(kStride) perfect shuffles. Reads up to a vector beyond each row.
template <int kStride>
void interleave(const float* const* from, float* to, Dim count) {
  using namespace simd;
  for (Dim i = 0; i < count; i += kWidth * kStride) {
    Vec v[kStride];
    unroll<kStride>([&](auto b) { v[b] = load(from[b] + i / kStride); });
    for (int round = 1; round < kStride; round *= 2) {
      Vec shuffled[kStride];
      unroll<kStride / 2>(
          [&](auto b) { std::tie(shuffled[2 * b], shuffled[2 * b + 1]) = zip(v[b], v[b + kStride / 2]); });
      unroll<kStride>([&](auto b) { v[b] = shuffled[b]; });
    }
    if (i + kWidth * kStride <= count)
      unroll<kStride>([&](auto b) { store(to + i + b * kWidth, v[b]); });
    else
      unroll<kStride>([&](auto b) {
        const Dim left = count - i - b * kWidth;
        if (left > 0) store(to + i + b * kWidth, v[b], std::min(left, kWidth));
      });
  }
}

/// The same for strides of whole vectors.
inline void interleave_vectors(const float* const* from, Dim stride, float* to, Dim count) {
  using namespace simd;
  for (Dim i = 0; i * stride < count; i += kWidth)
    for (Dim b = 0; b < stride; b += kWidth) {
      Vec block[kWidth];
      for (Dim j = 0; j < kWidth; ++j) block[j] = load(from[b + j] + i);
      transpose(block);
      for (Dim j = 0, at = i * stride + b; j < kWidth && at < count; ++j, at += stride)
        at + kWidth <= count ? store(to + at, block[j]) : store(to + at, block[j], count - at);
    }
}

/// The same for any stride, and for any distance between the pixels of `to`.
inline void interleave(const float* const* from, Dim stride, float* to, Dim pixel_stride, Dim count) {
  if (pixel_stride == 1) {
    if (stride == 1) return copy_row(from[0], 1, to, count);
    if (stride == 2) return interleave<2>(from, to, count);
    if (stride == 4) return interleave<4>(from, to, count);
    if (stride == 8) return interleave<8>(from, to, count);
    if (stride % simd::kWidth == 0) return interleave_vectors(from, stride, to, count);
  }
  for (Dim b = 0; b < stride; ++b)
    for (Dim w = b, i = 0; w < count; w += stride, ++i) to[w * pixel_stride] = from[b][i];
}

}  // namespace convbwd::direct
