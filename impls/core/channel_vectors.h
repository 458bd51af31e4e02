// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>

#include "core/ranges.h"
#include "core/simd.h"
#include "core/tensor.h"
#include "core/transpose.h"

// Plain tensors to vectors of channels, and back: kWidth channels of one pixel (or of one tap of a filter) are
// neighbours in memory, the pixels of a block of channels follow one another, and the last block is filled up with
// zeros. With kWidth = 4 and 6 channels of 2 x 2 pixels:
//
//   block 0: h0w0 c0-3 | h0w1 c0-3 | h1w0 c0-3 | h1w1 c0-3     block 1: h0w0 c4 c5 0 0 | h0w1 c4 c5 0 0 | ...
//
// Where channels are neighbours (nhwc) a vector is one load. Where pixels are (nchw) kWidth loads make a matrix with a
// channel a row, which is transposed in registers. Any other strides go element by element. Loads and stores are masked
// at the edges, so nothing beyond the tensor is touched. Include this only in code compiled for one instruction set.
namespace convbwd::simd {

constexpr Dim blocks_of(Dim channels) { return ceil_div(channels, kWidth); }
constexpr Dim padded(Dim channels) { return blocks_of(channels) * kWidth; }

/// Some pixels of up to kWidth channels in a plain tensor.
template <class T>
struct PixelRun {
  T* data;
  Dim channels, channel_stride;
  Dim pixels, pixel_stride;

  T* at(Dim channel, Dim pixel) const { return data + channel * channel_stride + pixel * pixel_stride; }
};

/// Runs of nchw as whole matrices of kWidth channels and kWidth pixels, where they have as many: visit(first pixel) for
/// each, the last of which may overlap the one before. Others are left to masks, which take six times as long.
template <class T, class Visit>
bool as_matrices(const PixelRun<T>& run, Visit visit) {
  if (run.pixel_stride != 1 || run.channels < kWidth || run.pixels < kWidth) return false;
  for (Dim begin = 0; begin < run.pixels; begin += kWidth) visit(std::min(begin, run.pixels - kWidth));
  return true;
}

/// Vectors of channels, one a pixel; lanes beyond the run's channels are zero.
inline void pack(const PixelRun<const float>& run, float* packed) {
  const bool done = as_matrices(run, [&](Dim begin) {
    Vec block[kWidth];
    unroll<int{kWidth}>([&](auto c) { block[c] = load(run.at(c, begin)); });
    transpose(block);
    unroll<int{kWidth}>([&](auto i) { store(packed + (begin + i) * kWidth, block[i]); });
  });
  if (done) return;
  for (Dim begin = 0; begin < run.pixels; begin += kWidth) {
    const Dim count = std::min(kWidth, run.pixels - begin);
    float* const out = packed + begin * kWidth;
    if (run.channel_stride == 1 && run.channels == kWidth) {
      for (Dim i = 0; i < count; ++i) store(out + i * kWidth, load(run.at(0, begin + i)));
    } else if (run.channel_stride == 1) {
      for (Dim i = 0; i < count; ++i) store(out + i * kWidth, load(run.at(0, begin + i), run.channels));
    } else if (run.pixel_stride == 1) {
      Vec block[kWidth];
      for (Dim c = 0; c < kWidth; ++c) block[c] = c < run.channels ? load(run.at(c, begin), count) : zero();
      transpose(block);
      for (Dim i = 0; i < count; ++i) store(out + i * kWidth, block[i]);
    } else {
      for (Dim i = 0; i < count; ++i)
        for (Dim c = 0; c < kWidth; ++c) out[i * kWidth + c] = c < run.channels ? *run.at(c, begin + i) : 0;
    }
  }
}

inline void unpack(const float* packed, const PixelRun<float>& run) {
  const bool done = as_matrices(run, [&](Dim begin) {
    Vec block[kWidth];
    unroll<int{kWidth}>([&](auto i) { block[i] = load(packed + (begin + i) * kWidth); });
    transpose(block);
    unroll<int{kWidth}>([&](auto c) { store(run.at(c, begin), block[c]); });
  });
  if (done) return;
  for (Dim begin = 0; begin < run.pixels; begin += kWidth) {
    const Dim count = std::min(kWidth, run.pixels - begin);
    const float* const in = packed + begin * kWidth;
    if (run.channel_stride == 1 && run.channels == kWidth) {
      for (Dim i = 0; i < count; ++i) store(run.at(0, begin + i), load(in + i * kWidth));
    } else if (run.channel_stride == 1) {
      for (Dim i = 0; i < count; ++i) store(run.at(0, begin + i), load(in + i * kWidth), run.channels);
    } else if (run.pixel_stride == 1) {
      Vec block[kWidth];
      for (Dim i = 0; i < kWidth; ++i) block[i] = i < count ? load(in + i * kWidth) : zero();
      transpose(block);
      for (Dim c = 0; c < run.channels; ++c) store(run.at(c, begin), block[c], count);
    } else {
      for (Dim i = 0; i < count; ++i)
        for (Dim c = 0; c < run.channels; ++c) *run.at(c, begin + i) = in[i * kWidth + c];
    }
  }
}

/// Strides of a packed tensor in floats: from an image (or filter) to the next, and from a block of channels to the
/// next.
struct BlockStrides {
  Dim outer, block;
};

/// visit(run, packed) for each row of a plain tensor, or for each whole plane where its rows follow one another.
template <class T, class Packed, class Visit>
void for_each_pixel_run(View4<T> plain, BlockStrides stride, Packed* packed, int threads, Visit visit) {
  const Dim outer = plain.extent[0], channels = plain.extent[1], H = plain.extent[2], W = plain.extent[3];
  const bool whole = plain.stride[2] == W * plain.stride[3];
  const Dim rows = whole ? 1 : H, pixels = whole ? H * W : W;
#pragma omp parallel for collapse(2) schedule(static) num_threads(threads)
  for (Dim n = 0; n < outer; ++n)
    for (Dim block = 0; block < blocks_of(channels); ++block)
      for (Dim h = 0; h < rows; ++h)
        visit(PixelRun<T>{&plain(n, block * kWidth, h, 0), std::min(kWidth, channels - block * kWidth), plain.stride[1],
                          pixels, plain.stride[3]},
              packed + n * stride.outer + block * stride.block + h * pixels * kWidth);
}

inline void pack_channels(View4<const float> plain, float* packed, BlockStrides stride, int threads) {
  for_each_pixel_run(plain, stride, packed, threads,
                     [](const PixelRun<const float>& run, float* to) { pack(run, to); });
}
inline void unpack_channels(const float* packed, View4<float> plain, BlockStrides stride, int threads) {
  for_each_pixel_run(plain, stride, packed, threads,
                     [](const PixelRun<float>& run, const float* from) { unpack(from, run); });
}

/// `count` channels of a tensor, from `first` on, every `step`-th.
template <class T>
View4<T> channels_of(View4<T> tensor, Dim first, Dim count, Dim step = 1) {
  tensor.data += first * tensor.stride[1];
  tensor.extent[1] = count;
  tensor.stride[1] *= step;
  return tensor;
}

}  // namespace convbwd::simd
