// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "winograd/layout.h"
#include "winograd/tiling.h"

// The matrix products between the transforms, one a bin, over the tiles of a span that have it; the span's first tile
// is row 0 of the bins. Results do not depend on how rows or blocks of C are shared among calls, but
// on where sums are cut: k_blocks of TileProducts, spans of GradientProducts.
namespace convbwd::winograd {

// Sums of products kept in registers before they are added to memory, at most: as long as a panel of filters, 128 lanes
// of K times 2 vectors of C, stays in L1 (128 * 2 * 64 B = 16 KB at most), and short enough to keep rounding errors
// small.
inline constexpr Dim kDepth = 128;

// Blocks of C that a product of the weight gradient passes over together: with fewer it loads more for each FMA.
inline constexpr Dim kGradientBlocks = simd::kWidth == 4 ? 2 : 3;

/// result[tile, c] = sum over k of tiles[tile, k] * filters[k, c], or += from the second block of k on, in every bin:
/// blocks `k_blocks` of `tiles`; `filters` from block `filter_block` on, where row `filter_row` is the first lane of
/// k_blocks; blocks [0, blocks) of `result`.
struct TileProducts {
  const Tiling& tiling;
  Range span;
  const Bins& tiles;
  Range k_blocks;
  const Bins& filters;
  Dim filter_block, filter_row;
  const Bins& result;
  Dim blocks;
};
void multiply(const TileProducts& products);

/// result[k, c] = sum over tiles of dy[tile, k] * x[tile, c], or += where `accumulate`, in these bins of the
/// filters; those of the tiles that meet the same one have one sum. Lanes of dy's blocks `k_blocks`, x's blocks
/// `c_blocks`. The first of them go to row 0 of block 0 of `result`.
struct GradientProducts {
  const Tiling& tiling;
  Range span;
  const Bins &dy, &x;
  Range filter_bins, k_blocks, c_blocks;
  const Bins& result;
  bool accumulate;
};
void multiply(const GradientProducts& products);

}  // namespace convbwd::winograd
