// SPDX-License-Identifier: Apache-2.0
#include "winograd/layout.h"

#include <algorithm>

namespace convbwd::winograd {

void pack_image(const ImageLayout& layout, View4<const float> plain, float* packed, int threads) {
  simd::pack_channels(plain, packed, {layout.image(), layout.plane()}, threads);
}

void unpack_image(const ImageLayout& layout, const float* packed, View4<float> plain, int threads) {
  simd::unpack_channels(packed, plain, {layout.image(), layout.plane()}, threads);
}

void pack_filters(const FilterLayout& layout, View4<const float> plain, float* packed, int threads) {
  simd::pack_channels(plain, packed, {layout.filter(), layout.block()}, threads);
  for (Dim block = 0; block < blocks_of(layout.C); ++block)
    std::fill(packed + block * layout.block() + layout.K * layout.filter(), packed + (block + 1) * layout.block(),
              0.0f);
}

void unpack_filters(const FilterLayout& layout, const float* packed, View4<float> plain, int threads) {
  simd::unpack_channels(packed, plain, {layout.filter(), layout.block()}, threads);
}

}  // namespace convbwd::winograd
