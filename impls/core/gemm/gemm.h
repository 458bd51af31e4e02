// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>

#include "core/gemm/gather.h"
#include "core/gemm/micro_kernel.h"
#include "core/matrix.h"

// Blocked matrix product C = A * B or C += A * B, every operand a Matrix and so of any layout. The output is cut into
// blocks that do not depend on each other; one block is the work of one thread, and its sums always run over the depth
// in the same order, so results do not depend on the number of threads.
//
//             N                      one block:   for each kDepth of the depth
//      +------+------+                              pack A: kRows x kDepth, panels of kTileRows       (stays in L2)
//    M | (0,0)| (0,1)|                              for each kTileColumns columns of the block
//      +------+------+                                pack B: one panel, kDepth x kTileColumns        (stays in L1)
//      | (1,0)| (1,1)|                                for each panel of A:  tile_product
//      +------+------+                            then write the block to C
//
// After Goto and van de Geijn, Anatomy of High-Performance Matrix Multiplication (2008), and BLIS. Unlike there, B is
// packed one panel at a time, just before its only use in this block, and C is written once, at the end.
namespace convbwd::gemm {

// A panel of B, kDepth x kTileColumns: 256 * 8 * 4 B = 8 KB (SSE), 256 * 16 * 4 B = 16 KB (AVX2), 192 * 32 * 4 B = 24
// KB (AVX-512); the rest of a 32 KB L1 takes the stream of A.
inline constexpr Dim kDepth = simd::kWidth == 16 ? 192 : 256;
static_assert(kDepth * kTileColumns * Dim{sizeof(float)} <= 24 * 1024, "a panel of B does not stay in L1");

// A block of A: 384 * 256 * 4 B = 384 KB, three quarters of a 512 KB L2. Half of it was tried and lost 5 to 10 % on
// square matrices, since B is packed once for each block of rows.
inline constexpr Dim kRows = 384;
static_assert(kRows * kDepth * Dim{sizeof(float)} <= 384 * 1024, "a block of A does not stay in L2");

// An element of A, once packed, is used for kColumns columns: 512 / 16 = 32 cycles of AVX2 against 0.3 to 3 of packing.
// The block of C, at most 384 * 512 * 4 B = 768 KB, is passed over once for each kDepth.
inline constexpr Dim kColumns = 512;
static_assert(kRows <= kOffsets && kColumns <= kOffsets && kDepth <= kOffsets);

/// Scratch memory for one block, in floats (a multiple of a cache line).
constexpr Dim block_floats() { return kRows * kDepth + kDepth * kTileColumns + kRows * kColumns; }

/// How an M x N output is cut into blocks of nearly equal size.
struct Blocks {
  Dim M, N;
  Dim down, across;  // number of blocks in each direction

  Dim count() const { return down * across; }
  Range rows(Dim block) const { return part(M, down, 1, block / across); }
  Range columns(Dim block) const { return part(N, across, kTileColumns, block % across); }

 private:
  /// Part `i` of `parts`, where each is a whole number of units but for the last.
  static Range part(Dim extent, Dim parts, Dim unit, Dim i) {
    const Range units = convbwd::part(ceil_div(extent, unit), parts, i);
    return {units.begin * unit, std::min(units.end * unit, extent)};
  }
};

/// Blocks for `threads` threads when there are `products` products of this size to share.
inline Blocks blocks_for(Dim M, Dim N, Dim products, Dim threads) {
  Blocks blocks{M, N, ceil_div(M, kRows), ceil_div(N, kColumns)};
  const Dim wanted = ceil_div(threads, products);
  if (blocks.count() >= 4 * wanted || wanted == 1) return blocks;
  blocks.across = std::min(ceil_div(blocks.across, wanted) * wanted, ceil_div(N, kTileColumns));
  if (blocks.count() < wanted) blocks.down = std::min(ceil_div(wanted, blocks.across), ceil_div(M, kTileRows));
  return blocks;
}

/// One block of the product. `scratch` has block_floats() floats, aligned to 64 bytes.
inline void multiply_block(const Product& product, Range rows, Range columns, bool accumulate, float* scratch) {
  float* const a_block = scratch;
  float* const b_panel = a_block + kRows * kDepth;
  float* const c_block = b_panel + kDepth * kTileColumns;
  const Dim pitch = ceil_div(columns.size(), kTileColumns) * kTileColumns;
  const Parts panels = parts_of_at_most(kTileRows, rows.size());

  Dim a_row[kRows], a_column[kDepth], b_row[kDepth], b_column[kColumns];
  product.a.rows.offsets(rows.begin, rows.size(), a_row);
  product.b.columns.offsets(columns.begin, columns.size(), b_column);

  const Dim D = product.D();
  if (D == 0) std::fill_n(c_block, rows.size() * pitch, 0.0f);
  for (Dim begin = 0; begin < D; begin += kDepth) {
    const Dim depth = std::min(kDepth, D - begin);
    product.a.columns.offsets(begin, depth, a_column);
    product.b.rows.offsets(begin, depth, b_row);
    for (Dim i = 0; i < panels.count; ++i) {
      const Dim first = panels.begin(i), height = panels.part(i).size();
      gather(product.a.data, a_column, depth, a_row + first, height, a_block + first * depth, height);
    }
    for (Dim j = 0; j < columns.size(); j += kTileColumns) {
      const Dim width = std::min(kTileColumns, columns.size() - j);
      if (width < kTileColumns) std::fill_n(b_panel, depth * kTileColumns, 0.0f);
      gather(product.b.data, b_row, depth, b_column + j, width, b_panel, kTileColumns);
      for (Dim i = 0; i < panels.count; ++i) {
        const Dim first = panels.begin(i), height = panels.part(i).size();
        tile_product_for(height)(depth, a_block + first * depth, b_panel, c_block + first * pitch + j, pitch,
                                 begin > 0);
      }
    }
  }
  scatter(c_block, pitch, rows, columns, accumulate, product.c);
}

}  // namespace convbwd::gemm
