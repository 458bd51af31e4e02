// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>

#include "winograd/layout.h"
#include "winograd/transform.h"

// The transforms between the tensors and the bins. Each takes one block of channels and a range of tiles or filters.
namespace convbwd::winograd {

/// How an image is cut into tiles: tile (h, w) of `down` x `across` begins at row h * step + top, column w * step +
/// left, either of which may be outside the image. Tiles are numbered through all images of the batch.
struct Tiling {
  Dim step, top, left;
  Dim down, across, N;

  Dim tiles() const { return N * down * across; }
};

/// The part of an image that a pass may see: pixels at or beyond `live_h`, `live_w` read as zero and are not written.
struct Window {
  ImageLayout layout;
  Dim live_h, live_w;
};

/// visit(offset, h, w) for each tile: where its image begins, and its first row and column.
template <class Visit>
[[gnu::always_inline]] inline void for_each_tile(const Tiling& tiling, Dim image, Range tiles, Visit visit) {
  if (tiles.size() == 0) return;
  Dim across = tiles.begin % tiling.across, down = tiles.begin / tiling.across % tiling.down;
  Dim offset = tiles.begin / (tiling.across * tiling.down) * image;
  for (Dim tile = tiles.begin; tile < tiles.end; ++tile) {
    visit(offset, down * tiling.step + tiling.top, across * tiling.step + tiling.left);
    if (++across < tiling.across) continue;
    across = 0;
    if (++down < tiling.down) continue;
    down = 0;
    offset += image;
  }
}

/// Tiles into rows of the bins, from `to_row` on.
template <const auto& kTransform>
[[gnu::flatten]] void tiles_to_bins(const Window& from, const float* packed, Dim block, const Tiling& tiling,
                                    Range tiles, const Bins& to, Dim to_row) {
  constexpr Dim extent = kTransform.cols;
  const Dim pitch = from.layout.W * simd::kWidth, bin = to.bin_stride();
  const float* const planes = packed + block * from.layout.plane();
  float* out = to.at(0, block, to_row);
  for_each_tile(tiling, from.layout.image(), tiles, [&](Dim offset, Dim h, Dim w) {
    const float* const first = planes + offset + h * pitch + w * simd::kWidth;
    const auto store = [&](auto i, auto j, simd::Vec value) {
      simd::store(out + (i * kTransform.rows + j) * bin, value);
    };
    if (h >= 0 && h + extent <= from.live_h && w >= 0 && w + extent <= from.live_w) {
      transform<kTransform>([&](auto i, auto j) { return simd::load(first + i * pitch + j * simd::kWidth); }, store);
    } else {
      transform<kTransform>(
          [&](auto i, auto j) {
            const bool inside = h + i >= 0 && h + i < from.live_h && w + j >= 0 && w + j < from.live_w;
            return inside ? simd::load(first + i * pitch + j * simd::kWidth) : simd::zero();
          },
          store);
    }
    out += simd::kWidth;
  });
}

/// Rows 0, 1, ... of the bins into tiles of an image, which do not overlap.
template <const auto& kTransform>
[[gnu::flatten]] void bins_to_tiles(const Bins& from, Dim from_block, const Tiling& tiling, Range tiles,
                                    const Window& to, float* packed, Dim block) {
  constexpr Dim extent = kTransform.rows;
  const Dim pitch = to.layout.W * simd::kWidth, bin = from.bin_stride();
  float* const planes = packed + block * to.layout.plane();
  const float* in = from.at(0, from_block, 0);
  for_each_tile(tiling, to.layout.image(), tiles, [&](Dim offset, Dim h, Dim w) {
    float* const first = planes + offset + h * pitch + w * simd::kWidth;
    const auto load = [&](auto i, auto j) { return simd::load(in + (i * kTransform.cols + j) * bin); };
    if (h + extent <= to.live_h && w + extent <= to.live_w) {
      transform<kTransform>(
          load, [&](auto i, auto j, simd::Vec value) { simd::store(first + i * pitch + j * simd::kWidth, value); });
    } else {
      transform<kTransform>(load, [&](auto i, auto j, simd::Vec value) {
        if (h + i < to.live_h && w + j < to.live_w) simd::store(first + i * pitch + j * simd::kWidth, value);
      });
    }
    in += simd::kWidth;
  });
}

/// Filters, rotated by 180 degrees as the data gradient wants them, into rows 0, 1, ... of the bins.
template <const auto& kTransform>
[[gnu::flatten]] void filters_to_bins(const FilterLayout& layout, const float* packed, Dim block, Range filters,
                                      const Bins& to, Dim to_block, Dim to_row) {
  constexpr int last = kTransform.cols - 1;
  const Dim bin = to.bin_stride();
  const float* in = packed + block * layout.block() + filters.begin * layout.filter();
  float* out = to.at(0, to_block, to_row);
  for (Dim k = filters.begin; k < filters.end; ++k, in += layout.filter(), out += simd::kWidth)
    transform<kTransform>(
        [&](auto r, auto s) { return simd::load(in + ((last - r) * (last + 1) + last - s) * simd::kWidth); },
        [&](auto i, auto j, simd::Vec value) { simd::store(out + (i * kTransform.rows + j) * bin, value); });
}

/// Taps that fall into the image for some output; the gradient of any other is exactly zero.
struct LiveTaps {
  Range rows, columns;
  bool has(Dim r, Dim s) const { return r >= rows.begin && r < rows.end && s >= columns.begin && s < columns.end; }
};

/// Rows of the bins, summed over `parts` copies that are `part_floats` apart, into the gradients of filters.
template <const auto& kTransform>
[[gnu::flatten]] void bins_to_filters(const Bins& from, Dim from_block, Dim from_row, Dim parts, Dim part_floats,
                                      const LiveTaps& live, const FilterLayout& layout, float* packed, Dim block,
                                      Range filters) {
  const Dim bin = from.bin_stride();
  const float* in = from.at(0, from_block, from_row);
  float* out = packed + block * layout.block() + filters.begin * layout.filter();
  for (Dim k = filters.begin; k < filters.end; ++k, in += simd::kWidth, out += layout.filter())
    transform<kTransform>(
        [&](auto i, auto j) {
          const float* at = in + (i * kTransform.cols + j) * bin;
          simd::Vec sum = simd::load(at);
          for (Dim part = 1; part < parts; ++part) sum = sum + simd::load(at + part * part_floats);
          return sum;
        },
        [&](auto r, auto s, simd::Vec value) {
          simd::store(out + (r * kTransform.rows + s) * simd::kWidth, live.has(r, s) ? value : simd::zero());
        });
}

}  // namespace convbwd::winograd
