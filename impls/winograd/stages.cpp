// SPDX-License-Identifier: Apache-2.0
//
// Tiles that lie in the image are transformed from where they are; others by way of a copy, which is filled up with
// zeros.
#include "winograd/stages.h"

#include <algorithm>

namespace convbwd::winograd {
namespace {

using simd::kWidth;

using TileCopy = float[kMostPoints * kMostPoints * kWidth];

bool is_whole(const Stretch& stretch, int elements) { return stretch.live.begin == 0 && stretch.live.end == elements; }

/// One tile into the bins, `transform` being that of its size.
void tile_to_bins(const LineTransform& rows, const LineTransform& columns, const float* image, TileStep step,
                  const Stretch& down, const Stretch& across, float* bins, TileStep bin) {
  if (is_whole(down, rows.in) && is_whole(across, columns.in)) {
    transform_tile(rows, columns, image, step, bins, bin);
    return;
  }
  alignas(64) TileCopy copy;
  const Dim pitch = columns.in * kWidth;
  std::fill(copy, copy + rows.in * pitch, 0.0f);
  for (Dim i = down.live.begin; i < down.live.end; ++i)
    for (Dim j = across.live.begin; j < across.live.end; ++j)
      simd::store(copy + i * pitch + j * kWidth, simd::load(image + i * step.row + j * step.column));
  transform_tile(rows, columns, copy, {pitch, kWidth}, bins, bin);
}

void bins_to_tile(const LineTransform& rows, const LineTransform& columns, const float* bins, TileStep bin,
                  float* image, TileStep step, const Stretch& down, const Stretch& across) {
  if (is_whole(down, rows.out) && is_whole(across, columns.out)) {
    transform_tile(rows, columns, bins, bin, image, step);
    return;
  }
  alignas(64) TileCopy copy;
  const Dim pitch = columns.out * kWidth;
  transform_tile(rows, columns, bins, bin, copy, {pitch, kWidth});
  for (Dim i = 0; i < down.live.end; ++i)
    for (Dim j = 0; j < across.live.end; ++j)
      simd::store(image + i * step.row + j * step.column, simd::load(copy + i * pitch + j * kWidth));
}

/// From a row of bins to the next, and from a bin to the next in a row.
TileStep bin_step(const Tiling& tiling, const Bins& bins) {
  return {tiling.bins_across() * bins.bin_stride(), bins.bin_stride()};
}

TileStep pixel_step(const ImageLayout& layout, Dim rows, Dim columns) {
  return {rows * layout.row(), columns * layout.pixel};
}

template <class T>
T* pixel_at(const ImageBlock<T>& image, Dim n, Dim row, Dim column) {
  return image.plane + n * image.layout.image + row * image.layout.row() + column * image.layout.pixel;
}

/// Where tap 0 of the algorithm is in a filter, and from a tap to the next along each axis.
Dim first_tap(const FilterLayout& layout, const Tiling& tiling) {
  return (tiling.rows().first_tap * layout.S + tiling.columns().first_tap) * kWidth;
}
TileStep tap_step(const FilterLayout& layout, const Tiling& tiling) {
  return {tiling.rows().tap_step * layout.S * kWidth, tiling.columns().tap_step * kWidth};
}

}  // namespace

void wide_tiles_to_bins(const ImageBlock<const float>& image, const Tiling& tiling, Range tiles, const Bins& bins,
                        Dim block, Dim first_row) {
  const TileStep step = pixel_step(image.layout, tiling.rows().wide_step, tiling.columns().wide_step);
  tiling.for_each(tiles, [&](Dim tile, Dim n, const TileSize& rows, const TileSpan& down, const TileSize& columns,
                             const TileSpan& across) {
    tile_to_bins(rows.input, columns.input, pixel_at(image, n, down.wide.first, across.wide.first), step, down.wide,
                 across.wide, bins.at(0, block, tile - first_row), bin_step(tiling, bins));
  });
}

void narrow_tiles_to_bins(const ImageBlock<const float>& image, const Tiling& tiling, Range tiles, const Bins& bins,
                          Dim block, Dim first_row) {
  const TileStep step = pixel_step(image.layout, tiling.rows().narrow_step, tiling.columns().narrow_step);
  tiling.for_each(tiles, [&](Dim tile, Dim n, const TileSize& rows, const TileSpan& down, const TileSize& columns,
                             const TileSpan& across) {
    tile_to_bins(rows.output_gradient, columns.output_gradient,
                 pixel_at(image, n, down.narrow.first, across.narrow.first), step, down.narrow, across.narrow,
                 bins.at(0, block, tile - first_row), bin_step(tiling, bins));
  });
}

void bins_to_narrow_tiles(const Bins& bins, Dim block, Dim first_row, const Tiling& tiling, Range tiles,
                          const ImageBlock<float>& image) {
  const TileStep step = pixel_step(image.layout, tiling.rows().narrow_step, tiling.columns().narrow_step);
  tiling.for_each(tiles, [&](Dim tile, Dim n, const TileSize& rows, const TileSpan& down, const TileSize& columns,
                             const TileSpan& across) {
    bins_to_tile(rows.output, columns.output, bins.at(0, block, tile - first_row), bin_step(tiling, bins),
                 pixel_at(image, n, down.narrow.first, across.narrow.first), step, down.narrow, across.narrow);
  });
}

void filters_to_bins(const FilterLayout& layout, const float* taps, Range filters, const Tiling& tiling,
                     const Bins& bins, Dim block, Dim first_row) {
  const AxisAlgorithm &rows = *tiling.rows().algorithm, &columns = *tiling.columns().algorithm;
  const float* const first = taps + first_tap(layout, tiling);
  for (Dim k = filters.begin; k < filters.end; ++k)
    transform_tile(rows.filter, columns.filter, first + k * layout.filter(), tap_step(layout, tiling),
                   bins.at(0, block, k - first_row), bin_step(tiling, bins));
}

void bins_to_filters(const Bins& bins, Dim block, Dim first_row, const Tiling& tiling, const FilterLayout& layout,
                     float* taps, Range filters) {
  const AxisAlgorithm &rows = *tiling.rows().algorithm, &columns = *tiling.columns().algorithm;
  float* const first = taps + first_tap(layout, tiling);
  for (Dim k = filters.begin; k < filters.end; ++k)
    transform_tile(rows.filter_gradient, columns.filter_gradient, bins.at(0, block, k - first_row),
                   bin_step(tiling, bins), first + k * layout.filter(), tap_step(layout, tiling));
}

}  // namespace convbwd::winograd
