// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <utility>

#include "core/gemm/register_tile.h"

// The innermost loop of a matrix product: a tile of C held in registers while A and B stream by. Include it only in
// code that is compiled for one instruction set; everything here is inline.
namespace convbwd::gemm {

// 16 registers:  6 x 2 accumulators + 2 loads of B + 1 broadcast of A = 15.
// 32 registers: 14 x 2 accumulators + 2 loads of B + 1 broadcast of A = 31.
// Either has at least 12 independent sums, enough to hide a latency of 4-5 cycles at 2 FMA a cycle, and needs
// (rows + 2) / (2 rows) = 0.67 (0.57) loads an FMA, below the 1 that two load ports sustain.
inline constexpr int kTileRows = simd::kRegisters == 32 ? 14 : 6;
inline constexpr int kTileVectors = 2;
inline constexpr Dim kTileColumns = kTileVectors * simd::kWidth;

/// C tile = A panel * B panel, or += where `accumulate`; for i < rows and j < kTileColumns
///     C[i][j] = sum over d of  a[d * rows + i] * b[d * kTileColumns + j]
///
///   a, 6 rows:     A00 A10 A20 A30 A40 A50 | A01 A11 A21 A31 A41 A51 | ...     column d of the panel at a + 6 d
///   b, 16 columns: B00 B01 ... B0F         | B10 B11 ... B1F         | ...     row d of the panel at b + 16 d
///   c:             row i at c + i * c_stride, kTileColumns floats each
template <int rows>
inline void tile_product(Dim depth, const float* a, const float* b, float* c, Dim c_stride, bool accumulate) {
  static_assert(rows >= 1 && rows <= kTileRows);
  RegisterTile<rows, kTileVectors> tile;
  tile.clear();
  for (Dim d = 0; d < depth; ++d, a += rows, b += kTileColumns) tile.add_product(a, 1, b, simd::kWidth);
  tile.store(c, c_stride, simd::kWidth, accumulate);
}

using TileProduct = void (*)(Dim depth, const float* a, const float* b, float* c, Dim c_stride, bool accumulate);

/// tile_product for a panel of `rows` rows, 1 <= rows <= kTileRows, so that short panels cost no padding.
inline TileProduct tile_product_for(Dim rows) {
  static constexpr auto kTable = []<int... i>(std::integer_sequence<int, i...>) {
    return std::array<TileProduct, kTileRows>{tile_product<i + 1>...};
  }
  (std::make_integer_sequence<int, kTileRows>{});
  return kTable[static_cast<std::size_t>(rows - 1)];
}

}  // namespace convbwd::gemm
