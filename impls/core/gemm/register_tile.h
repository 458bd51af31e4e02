// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/simd.h"

namespace convbwd::gemm {

/// A tile of a matrix product, `rows` x (`vectors` * simd::kWidth) sums, held in registers while the operands stream
/// by. Include it only in code that is compiled for one instruction set.
template <int rows, int vectors>
struct RegisterTile {
  static_assert(rows * vectors + vectors + 1 <= simd::kRegisters, "the sums would be spilled to the stack");
  simd::Vec sum[rows][vectors];

  [[gnu::always_inline]] void clear() {
#pragma GCC unroll 16
    for (int i = 0; i < rows; ++i)
#pragma GCC unroll 16
      for (int v = 0; v < vectors; ++v) sum[i][v] = simd::zero();
  }

  /// sum[i][v] += a[i * a_row] * b[v * b_vector ... + simd::kWidth)  for begin <= i < end
  template <int begin = 0, int end = rows>
  [[gnu::always_inline]] void add_product(const float* a, Dim a_row, const float* b, Dim b_vector) {
    simd::Vec right[vectors];
#pragma GCC unroll 16
    for (int v = 0; v < vectors; ++v) right[v] = simd::load(b + v * b_vector);
#pragma GCC unroll 16
    for (int i = begin; i < end; ++i) {
      const simd::Vec left = simd::broadcast(a[i * a_row]);
#pragma GCC unroll 16
      for (int v = 0; v < vectors; ++v) sum[i][v] = simd::fma(left, right[v], sum[i][v]);
    }
  }

  /// c[i * c_row + v * c_vector ... + simd::kWidth) = sum[i][v], or += where `accumulate`.
  [[gnu::always_inline]] void store(float* c, Dim c_row, Dim c_vector, bool accumulate) const {
#pragma GCC unroll 16
    for (int i = 0; i < rows; ++i)
#pragma GCC unroll 16
      for (int v = 0; v < vectors; ++v) {
        float* const at = c + i * c_row + v * c_vector;
        simd::store(at, accumulate ? simd::load(at) + sum[i][v] : sum[i][v]);
      }
  }
};

}  // namespace convbwd::gemm
