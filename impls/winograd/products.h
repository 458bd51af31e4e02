// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "winograd/layout.h"
#include "winograd/stages.h"

// The n*n matrix products between the transforms, one a bin. Results do not depend on how blocks, rows or filters are
// shared among calls.
namespace convbwd::winograd {

// Sums of products kept in registers before they are added to memory: as long as a panel of filters, 128 lanes of K
// times 2 vectors of C, stays in L1 (128 * 2 * 64 B = 16 KB at most), and short enough to keep rounding errors small.
inline constexpr Dim kDepth = 128;
inline constexpr Dim kDepthBlocks = kDepth / simd::kWidth;

/// Output channels of the data gradient that are computed together, in vectors: 16 bins * 128 filters * 32 channels of
/// transformed filters are 256 KB, a quarter to a half of L2.
inline constexpr Dim kChannelBlocks = 32 / simd::kWidth;

/// result[tile, c] = sum over k of tiles[tile, k] * filters[k, c], or += where `accumulate`, in every bin:
/// rows [0, rows) of `tiles`, its blocks `k_blocks`; `filters` from block `filter_block` on, where row `filter_row` is
/// the first lane of k_blocks; blocks [0, blocks) of `result`.
void multiply_tiles(const Bins& tiles, Dim rows, Range k_blocks, const Bins& filters, Dim filter_block, Dim filter_row,
                    const Bins& result, Dim blocks, bool accumulate);

/// result[k, c] = sum over tiles of dy[tile, k] * x[tile, c], or += where `accumulate`, in every bin: rows [0, rows) of
/// dy and x, lanes of dy's blocks `k_blocks`, x's blocks `c_blocks`. The first of them go to row 0 of block 0 of
/// `result`.
void multiply_gradients(const Bins& dy, const Bins& x, Dim rows, Range k_blocks, Range c_blocks, const Bins& result,
                        bool accumulate);

}  // namespace convbwd::winograd
