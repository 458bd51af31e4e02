// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "winograd/layout.h"
#include "winograd/tiling.h"

// The transforms between the tensors and the bins, one block of channels at a time. `plane` is where that block of the
// group begins in image 0; tile t goes to, or comes from, row t - first_row of the bins.
namespace convbwd::winograd {

/// Where the time goes: what Plan::stages() names.
enum Stage : std::size_t { kImages, kFilters, kProducts, kInverse };
inline constexpr std::string_view kStageNames[] = {"image transform", "filter transform", "products",
                                                   "inverse transform"};

template <class T>
struct ImageBlock {
  const ImageLayout& layout;
  T* plane;
};

/// Tiles of the wide image (B'), or of the narrow one (A), into bins.
void wide_tiles_to_bins(const ImageBlock<const float>& image, const Tiling& tiling, Range tiles, const Bins& bins,
                        Dim block, Dim first_row);
void narrow_tiles_to_bins(const ImageBlock<const float>& image, const Tiling& tiling, Range tiles, const Bins& bins,
                          Dim block, Dim first_row);

/// Bins into tiles of the narrow image (A').
void bins_to_narrow_tiles(const Bins& bins, Dim block, Dim first_row, const Tiling& tiling, Range tiles,
                          const ImageBlock<float>& image);

/// The filters of one block of channels, `taps` being those of the first filter, into rows of the bins (G), and back
/// (G').
void filters_to_bins(const FilterLayout& layout, const float* taps, Range filters, const Tiling& tiling,
                     const Bins& bins, Dim block, Dim first_row);
void bins_to_filters(const Bins& bins, Dim block, Dim first_row, const Tiling& tiling, const FilterLayout& layout,
                     float* taps, Range filters);

}  // namespace convbwd::winograd
