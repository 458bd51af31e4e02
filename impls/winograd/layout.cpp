// SPDX-License-Identifier: Apache-2.0
#include "winograd/layout.h"

#include <algorithm>

#include "core/transpose.h"

namespace convbwd::winograd {
namespace {

using simd::kWidth;

/// Some pixels of up to kWidth channels in a plain tensor.
template <class T>
struct Run {
  T* data;
  Dim channels, channel_stride;
  Dim pixels, pixel_stride;

  T* at(Dim channel, Dim pixel) const { return data + channel * channel_stride + pixel * pixel_stride; }
};

/// Vectors of channels, one a pixel; lanes beyond the run's channels are zero.
void pack(const Run<const float>& run, float* packed) {
  for (Dim begin = 0; begin < run.pixels; begin += kWidth) {
    const Dim count = std::min(kWidth, run.pixels - begin);
    float* const out = packed + begin * kWidth;
    if (run.channel_stride == 1) {
      for (Dim i = 0; i < count; ++i) simd::store(out + i * kWidth, simd::load(run.at(0, begin + i), run.channels));
    } else if (run.pixel_stride == 1) {
      simd::Vec block[kWidth];
      for (Dim c = 0; c < kWidth; ++c) block[c] = c < run.channels ? simd::load(run.at(c, begin), count) : simd::zero();
      simd::transpose(block);
      for (Dim i = 0; i < count; ++i) simd::store(out + i * kWidth, block[i]);
    } else {
      for (Dim i = 0; i < count; ++i)
        for (Dim c = 0; c < kWidth; ++c) out[i * kWidth + c] = c < run.channels ? *run.at(c, begin + i) : 0;
    }
  }
}

void unpack(const float* packed, const Run<float>& run) {
  for (Dim begin = 0; begin < run.pixels; begin += kWidth) {
    const Dim count = std::min(kWidth, run.pixels - begin);
    const float* const in = packed + begin * kWidth;
    if (run.channel_stride == 1) {
      for (Dim i = 0; i < count; ++i) simd::store(run.at(0, begin + i), simd::load(in + i * kWidth), run.channels);
    } else if (run.pixel_stride == 1) {
      simd::Vec block[kWidth];
      for (Dim i = 0; i < kWidth; ++i) block[i] = i < count ? simd::load(in + i * kWidth) : simd::zero();
      simd::transpose(block);
      for (Dim c = 0; c < run.channels; ++c) simd::store(run.at(c, begin), block[c], count);
    } else {
      for (Dim i = 0; i < count; ++i)
        for (Dim c = 0; c < run.channels; ++c) *run.at(c, begin + i) = in[i * kWidth + c];
    }
  }
}

/// visit(run, packed) for each row of the plain tensor, or for each whole plane where its rows follow one another.
/// `outer` counts images or filters, whose packed planes of a block are `packed_outer` apart; blocks are
/// `packed_block`.
template <class T, class Packed, class Visit>
void for_each_run(View4<T> plain, Dim packed_outer, Dim packed_block, Packed* packed, int threads, Visit visit) {
  const Dim outer = plain.extent[0], channels = plain.extent[1], H = plain.extent[2], W = plain.extent[3];
  const bool whole = plain.stride[2] == W * plain.stride[3];
  const Dim rows = whole ? 1 : H, pixels = whole ? H * W : W;
#pragma omp parallel for collapse(2) schedule(static) num_threads(threads)
  for (Dim n = 0; n < outer; ++n)
    for (Dim block = 0; block < blocks_of(channels); ++block)
      for (Dim h = 0; h < rows; ++h)
        visit(Run<T>{&plain(n, block * kWidth, h, 0), std::min(kWidth, channels - block * kWidth), plain.stride[1],
                     pixels, plain.stride[3]},
              packed + n * packed_outer + block * packed_block + h * pixels * kWidth);
}

}  // namespace

void pack_image(const ImageLayout& layout, View4<const float> plain, float* packed, int threads) {
  for_each_run(plain, layout.image(), layout.plane(), packed, threads, pack);
}

void unpack_image(const ImageLayout& layout, const float* packed, View4<float> plain, int threads) {
  for_each_run(plain, layout.image(), layout.plane(), packed, threads,
               [](const Run<float>& run, const float* from) { unpack(from, run); });
}

void pack_filters(const FilterLayout& layout, View4<const float> plain, float* packed, int threads) {
  for_each_run(plain, layout.filter(), layout.block(), packed, threads, pack);
  for (Dim block = 0; block < blocks_of(layout.C); ++block)
    std::fill(packed + block * layout.block() + layout.K * layout.filter(), packed + (block + 1) * layout.block(),
              0.0f);
}

void unpack_filters(const FilterLayout& layout, const float* packed, View4<float> plain, int threads) {
  for_each_run(plain, layout.filter(), layout.block(), packed, threads,
               [](const Run<float>& run, const float* from) { unpack(from, run); });
}

}  // namespace convbwd::winograd
