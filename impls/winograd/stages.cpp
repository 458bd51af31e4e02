// SPDX-License-Identifier: Apache-2.0
//
// A tile t becomes Mr t Mc' in two passes, down its columns with Mr and along its rows with Mc, between which it is in
// L1: a 6 x 6 tile has more vectors than there are registers, and so any two matrices can be combined. A batch of tiles
// makes a pass together, because the second needs all of the first: one tile at a time spends half of its 220 cycles
// (F(4,3), Zen 3) waiting and in calls.
#include "winograd/stages.h"

#include <algorithm>

#include "core/stage_clock.h"

namespace convbwd::winograd {
namespace {

using simd::kWidth;

/// Tiles, or filters, between the passes: tile, row, column, lane.
using Halfway = float[kMostTiles * kMostPoints * kMostPoints * kWidth];
using TileCopy = float[kMostPoints * kMostPoints * kWidth];

/// Floats from a row of a tile to the next, and from a column to the next.
struct TileStep {
  Dim row, column;
};

bool is_whole(const Stretch& stretch, int elements) { return stretch.live.begin == 0 && stretch.live.end == elements; }

/// From a row of bins, `across` of them, to the next, and from a bin to the next in a row.
TileStep bin_step(const Bins& bins, Dim across) { return {across * bins.bin_stride(), bins.bin_stride()}; }

TileStep pixel_step(const ImageLayout& layout, Dim rows, Dim columns) {
  return {rows * layout.row(), columns * layout.pixel};
}

template <class T>
T* pixel_at(const ImageBlock<T>& image, Dim n, Dim row, Dim column) {
  return image.plane + n * image.layout.image + row * image.layout.row() + column * image.layout.pixel;
}

/// The first pass over one tile of an image. A tile that is not all inside is copied, and filled up with zeros.
void image_pass(const LineTransform& rows, int columns, const float* image, TileStep step, const Stretch& down,
                const Stretch& across, float* halfway) {
  const Step to{columns * kWidth, kWidth};
  if (is_whole(down, rows.in) && is_whole(across, columns))
    return rows.run(image, {step.row, step.column}, halfway, to, columns);
  alignas(64) TileCopy copy;
  const Dim pitch = columns * kWidth;
  std::fill(copy, copy + rows.in * pitch, 0.0f);
  for (Dim i = down.live.begin; i < down.live.end; ++i)
    for (Dim j = across.live.begin; j < across.live.end; ++j)
      simd::store(copy + i * pitch + j * kWidth, simd::load(image + i * step.row + j * step.column));
  rows.run(copy, {pitch, kWidth}, halfway, to, columns);
}

/// The second pass over `count` tiles, into neighbouring rows of the bins.
void bins_pass(const LineTransform& rows, const LineTransform& columns, const float* halfway, float* bins, TileStep bin,
               Dim count) {
  const Dim row = columns.in * kWidth;
  for (Dim i = 0; i < rows.out; ++i)
    columns.run(halfway + i * row, {kWidth, rows.out * row}, bins + i * bin.row, {bin.column, kWidth}, count);
}

void image_to_bins(const LineTransform TileSize::*transform, Stretch TileSpan::*side, TileStep step,
                   const ImageBlock<const float>& image, const Tiling& tiling, Range tiles, const Bins& bins, Dim block,
                   Dim first_row) {
  tiling.for_each_batch(tiles, [&](const Tiling::Batch& batch) {
    const LineTransform &rows = batch.rows.*transform, &columns = batch.columns.*transform;
    alignas(64) Halfway halfway;
    for (Dim i = 0; i < batch.count; ++i) {
      const auto [n, down_span, across_span] = batch.places[static_cast<std::size_t>(i)];
      const Stretch &down = down_span->*side, &across = across_span->*side;
      image_pass(rows, columns.in, pixel_at(image, n, down.first, across.first), step, down, across,
                 halfway + i * rows.out * columns.in * kWidth);
    }
    bins_pass(rows, columns, halfway, bins.at(0, block, batch.first - first_row), bin_step(bins, tiling.bins_across()),
              batch.count);
  });
}

/// The first pass over `count` neighbouring rows of the bins.
void from_bins_pass(const LineTransform& rows, const LineTransform& columns, const float* bins, TileStep bin,
                    float* halfway, Dim count) {
  const Dim row = columns.in * kWidth;
  for (Dim j = 0; j < columns.in; ++j)
    rows.run(bins + j * bin.column, {bin.row, kWidth}, halfway + j * kWidth, {row, rows.out * row}, count);
}

/// The second pass over one tile, into an image: as much of it as there is.
void to_image_pass(const LineTransform& columns, const float* halfway, float* image, TileStep step, const Stretch& down,
                   const Stretch& across) {
  const Step from{kWidth, columns.in * kWidth};
  if (is_whole(across, columns.out)) return columns.run(halfway, from, image, {step.column, step.row}, down.live.end);
  alignas(64) TileCopy copy;
  columns.run(halfway, from, copy, {kWidth, columns.out * kWidth}, down.live.end);
  for (Dim i = 0; i < down.live.end; ++i)
    for (Dim j = 0; j < across.live.end; ++j)
      simd::store(image + i * step.row + j * step.column, simd::load(copy + (i * columns.out + j) * kWidth));
}

/// Where tap 0 of the algorithm is in a filter, and from a tap to the next along each axis.
Dim first_tap(const FilterLayout& layout, const Tiling& tiling) {
  return (tiling.rows().first_tap * layout.S + tiling.columns().first_tap) * kWidth;
}
TileStep tap_step(const FilterLayout& layout, const Tiling& tiling) {
  return {tiling.rows().tap_step * layout.S * kWidth, tiling.columns().tap_step * kWidth};
}

/// visit(first, count) for filters that are transformed together.
template <class Visit>
void for_each_batch(Range filters, Visit visit) {
  for (Dim k = filters.begin; k < filters.end; k += kMostTiles) visit(k, std::min(kMostTiles, filters.end - k));
}

/// Asks for the filters that follow `filters` of them, to be read or written next: they come from L3 or memory, and
/// a transform that waits for them takes half as long again.
template <bool to_write>
void prefetch_next(const float* filter, Dim filters, const FilterLayout& layout) {
  const Dim begin = filters * layout.filter();
  for (Dim at = begin; at < 2 * begin; at += kLine) __builtin_prefetch(filter + at, to_write);
}

}  // namespace

void wide_tiles_to_bins(const ImageBlock<const float>& image, const Tiling& tiling, Range tiles, const Bins& bins,
                        Dim block, Dim first_row) {
  const StageTimer timer(kImages);
  const TileStep step = pixel_step(image.layout, tiling.rows().wide_step, tiling.columns().wide_step);
  image_to_bins(&TileSize::input, &TileSpan::wide, step, image, tiling, tiles, bins, block, first_row);
}

void narrow_tiles_to_bins(const ImageBlock<const float>& image, const Tiling& tiling, Range tiles, const Bins& bins,
                          Dim block, Dim first_row) {
  const StageTimer timer(kImages);
  const TileStep step = pixel_step(image.layout, tiling.rows().narrow_step, tiling.columns().narrow_step);
  image_to_bins(&TileSize::output_gradient, &TileSpan::narrow, step, image, tiling, tiles, bins, block, first_row);
}

void bins_to_narrow_tiles(const Bins& bins, Dim block, Dim first_row, const Tiling& tiling, Range tiles,
                          const ImageBlock<float>& image) {
  const StageTimer timer(kInverse);
  const TileStep step = pixel_step(image.layout, tiling.rows().narrow_step, tiling.columns().narrow_step);
  tiling.for_each_batch(tiles, [&](const Tiling::Batch& batch) {
    const LineTransform &rows = batch.rows.output, &columns = batch.columns.output;
    alignas(64) Halfway halfway;
    from_bins_pass(rows, columns, bins.at(0, block, batch.first - first_row), bin_step(bins, tiling.bins_across()),
                   halfway, batch.count);
    for (Dim i = 0; i < batch.count; ++i) {
      const auto [n, down, across] = batch.places[static_cast<std::size_t>(i)];
      to_image_pass(columns, halfway + i * rows.out * columns.in * kWidth,
                    pixel_at(image, n, down->narrow.first, across->narrow.first), step, down->narrow, across->narrow);
    }
  });
}

void filters_to_bins(const FilterLayout& layout, const float* taps, Range filters, const Tiling& tiling,
                     const Bins& bins, Dim block, Dim first_row) {
  const StageTimer timer(kFilters);
  const LineTransform &rows = tiling.rows().algorithm->filter, &columns = tiling.columns().algorithm->filter;
  const TileStep step = tap_step(layout, tiling);
  const Dim row = columns.in * kWidth;
  for_each_batch(filters, [&](Dim k, Dim count) {
    alignas(64) Halfway halfway;
    const float* const first = taps + first_tap(layout, tiling) + k * layout.filter();
    prefetch_next<false>(taps + k * layout.filter(), count, layout);
    for (Dim s = 0; s < columns.in; ++s)
      rows.run(first + s * step.column, {step.row, layout.filter()}, halfway + s * kWidth, {row, rows.out * row},
               count);
    bins_pass(rows, columns, halfway, bins.at(0, block, k - first_row), bin_step(bins, tiling.filter_bins_across()),
              count);
  });
}

void bins_to_filters(const Bins& bins, Dim block, Dim first_row, const Tiling& tiling, const FilterLayout& layout,
                     float* taps, Range filters) {
  const StageTimer timer(kInverse);
  const LineTransform& rows = tiling.rows().algorithm->filter_gradient;
  const LineTransform& columns = tiling.columns().algorithm->filter_gradient;
  const TileStep step = tap_step(layout, tiling);
  const Dim row = columns.in * kWidth;
  for_each_batch(filters, [&](Dim k, Dim count) {
    alignas(64) Halfway halfway;
    float* const first = taps + first_tap(layout, tiling) + k * layout.filter();
    prefetch_next<true>(taps + k * layout.filter(), count, layout);
    from_bins_pass(rows, columns, bins.at(0, block, k - first_row), bin_step(bins, tiling.filter_bins_across()),
                   halfway, count);
    for (Dim r = 0; r < rows.out; ++r)
      columns.run(halfway + r * row, {kWidth, rows.out * row}, first + r * step.row, {step.column, layout.filter()},
                  count);
  });
}

}  // namespace convbwd::winograd
