// SPDX-License-Identifier: Apache-2.0
//
// Plain tensors to vectors of eight channels, and back.
//
// Where channels are neighbours in memory (nhwc) a vector is one load. Where positions are (nchw) eight loads of eight
// positions make a matrix with a channel a row; its transpose, 24 shuffles, is the strip. Anything else goes element by
// element. Loads and stores are masked at the edges of the tensor, so that nothing beyond it is touched.
#include "avx2/packing.h"

#include <cstdint>

namespace convbwd::avx2 {
namespace {

static_assert(kLanes * sizeof(float) == sizeof(__m256), "a vector of channels is one ymm register");

/// All ones in the first n lanes.
__m256i first_lanes(Dim n) {
  alignas(32) static constexpr std::int32_t kMasks[2 * kLanes] = {-1, -1, -1, -1, -1, -1, -1, -1};
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(kMasks + kLanes - n));
}

/// Lane j of vector i becomes lane i of vector j, in three rounds that swap ever larger neighbours.
Strip transposed(const Strip& m) {
  Strip pairs, quads, whole;
  for (int i = 0; i < kLanes; i += 2) {
    pairs.at[i] = _mm256_unpacklo_ps(m.at[i], m.at[i + 1]);      // 00 10 01 11 | 04 14 05 15
    pairs.at[i + 1] = _mm256_unpackhi_ps(m.at[i], m.at[i + 1]);  // 02 12 03 13 | 06 16 07 17
  }
  for (int i = 0; i < kLanes; i += 4)
    for (int j = 0; j < 2; ++j) {
      const __m256 low = pairs.at[i + j], high = pairs.at[i + j + 2];
      quads.at[i + 2 * j] = _mm256_shuffle_ps(low, high, _MM_SHUFFLE(1, 0, 1, 0));      // 00 10 20 30 | 04 14 24 34
      quads.at[i + 2 * j + 1] = _mm256_shuffle_ps(low, high, _MM_SHUFFLE(3, 2, 3, 2));  // 01 11 21 31 | 05 15 25 35
    }
  for (int i = 0; i < kLanes / 2; ++i) {
    whole.at[i] = _mm256_permute2f128_ps(quads.at[i], quads.at[i + 4], 0x20);
    whole.at[i + 4] = _mm256_permute2f128_ps(quads.at[i], quads.at[i + 4], 0x31);
  }
  return whole;
}

}  // namespace

Strip read_strip(const float* plain, Dim channel_stride, Dim position_stride, Dim channels, Dim positions) {
  Strip strip{};
  if (channel_stride == 1) {
    for (Dim i = 0; i < positions; ++i)
      strip.at[i] = _mm256_maskload_ps(plain + i * position_stride, first_lanes(channels));
  } else if (position_stride == 1) {
    for (Dim c = 0; c < channels; ++c)
      strip.at[c] = _mm256_maskload_ps(plain + c * channel_stride, first_lanes(positions));
    strip = transposed(strip);
  } else {
    for (Dim i = 0; i < positions; ++i) {
      alignas(32) float lanes[kLanes] = {};
      for (Dim c = 0; c < channels; ++c) lanes[c] = plain[c * channel_stride + i * position_stride];
      strip.at[i] = _mm256_load_ps(lanes);
    }
  }
  return strip;
}

void write_strip(const Strip& strip, float* plain, Dim channel_stride, Dim position_stride, Dim channels,
                 Dim positions) {
  if (channel_stride == 1) {
    for (Dim i = 0; i < positions; ++i)
      _mm256_maskstore_ps(plain + i * position_stride, first_lanes(channels), strip.at[i]);
  } else if (position_stride == 1) {
    const Strip rows = transposed(strip);
    for (Dim c = 0; c < channels; ++c)
      _mm256_maskstore_ps(plain + c * channel_stride, first_lanes(positions), rows.at[c]);
  } else {
    for (Dim i = 0; i < positions; ++i) {
      alignas(32) float lanes[kLanes];
      _mm256_store_ps(lanes, strip.at[i]);
      for (Dim c = 0; c < channels; ++c) plain[c * channel_stride + i * position_stride] = lanes[c];
    }
  }
}

void pack_images(View4<const float> plain, float* packed, int threads) {
  const Positions positions(plain);
  const Dim N = plain.extent[0], C = plain.extent[1], pixels = plain.extent[2] * plain.extent[3];
#pragma omp parallel for collapse(2) schedule(static) num_threads(threads)
  for (Dim n = 0; n < N; ++n)
    for (Dim block = 0; block < vectors(C); ++block) {
      float* plane = packed + (n * vectors(C) + block) * pixels * kLanes;
      positions.for_each_strip(n, block * kLanes, [&](Dim position, Dim count, const float* from) {
        const Strip strip =
            read_strip(from, plain.stride[1], plain.stride[3], std::min(kLanes, C - block * kLanes), count);
        for (Dim i = 0; i < count; ++i) _mm256_store_ps(plane + (position + i) * kLanes, strip.at[i]);
      });
    }
}

void unpack_images(const float* packed, View4<float> plain, int threads) {
  const Positions positions(plain);
  const Dim N = plain.extent[0], C = plain.extent[1], pixels = plain.extent[2] * plain.extent[3];
#pragma omp parallel for collapse(2) schedule(static) num_threads(threads)
  for (Dim n = 0; n < N; ++n)
    for (Dim block = 0; block < vectors(C); ++block) {
      const float* plane = packed + (n * vectors(C) + block) * pixels * kLanes;
      positions.for_each_strip(n, block * kLanes, [&](Dim position, Dim count, float* to) {
        Strip strip{};
        for (Dim i = 0; i < count; ++i) strip.at[i] = _mm256_load_ps(plane + (position + i) * kLanes);
        write_strip(strip, to, plain.stride[1], plain.stride[3], std::min(kLanes, C - block * kLanes), count);
      });
    }
}

}  // namespace convbwd::avx2
