// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/simd.h"
#include "core/unroll.h"
#include "winograd/matrices.h"

// From a matrix of fractions to straight-line vector code: M t M' for a tile t of vectors (one lane a channel), where
// zero coefficients cost nothing, ones an addition, and points a, -a share their work.
namespace convbwd::winograd {

/// A matrix as  (sums and differences of rows) * (a sparser matrix) * (sums and differences of columns).
///
/// In A, G and B' the rows of the points a and -a are e + o and e - o, where e has the even columns only and o the odd
/// ones: each is computed once. In their transposes the same is true of columns.
template <int kRows, int kCols>
struct Factored {
  static constexpr int rows = kRows, cols = kCols;
  Matrix<kRows, kCols, float> core;
  std::array<bool, kRows> row_pair{};  // out[i], out[i + 1] are the sum and the difference of what core gives for them
  std::array<bool, kCols> col_pair{};  // core is applied to the sum and the difference of in[j], in[j + 1]
};

/// Whether row i + 1 is row i with the signs of its odd columns changed, both having even and odd ones.
template <int kRows, int kCols>
constexpr bool mirrored(const Matrix<kRows, kCols>& matrix, int i) {
  bool even = false, odd = false;
  for (std::size_t j = 0; j < kCols; ++j) {
    const Rational here = matrix[i][j];
    if (matrix[i + 1][j] != (j % 2 ? -here : here)) return false;
    if (here != Rational(0)) (j % 2 ? odd : even) = true;
  }
  return even && odd;
}

/// Rows i and i + 1, mirrored, into even and odd columns of row i.
template <int kRows, int kCols>
constexpr void separate(Matrix<kRows, kCols>& matrix, int i) {
  for (std::size_t j = 0; j < kCols; ++j) {
    matrix[i + 1][j] = j % 2 ? matrix[i][j] : 0;
    if (j % 2) matrix[i][j] = 0;
  }
}

template <int kRows, int kCols>
constexpr Factored<kRows, kCols> factored(Matrix<kRows, kCols> matrix) {
  Factored<kRows, kCols> result;
  for (int i = 0; i + 1 < kRows; ++i)
    if (mirrored(matrix, i)) {
      result.row_pair[static_cast<std::size_t>(i)] = true;
      separate(matrix, i++);
    }
  Matrix<kCols, kRows> across = transposed(matrix);
  for (int j = 0; j + 1 < kCols; ++j)
    if (mirrored(across, j)) {
      result.col_pair[static_cast<std::size_t>(j)] = true;
      separate(across, j++);
    }
  matrix = transposed(across);
  for (int i = 0; i < kRows; ++i)
    for (std::size_t j = 0; j < kCols; ++j) result.core[i][j] = static_cast<float>(static_cast<double>(matrix[i][j]));
  return result;
}

/// The column a row's sum begins with: one whose coefficient is 1 if there is any; -1 for a row of zeros.
template <std::size_t kCols>
constexpr int start_of(const std::array<float, kCols>& row) {
  int start = -1;
  for (std::size_t j = kCols; j-- > 0;)
    if (row[j] == 1 || (row[j] != 0 && (start < 0 || row[static_cast<std::size_t>(start)] != 1)))
      start = static_cast<int>(j);
  return start;
}

/// Row `row` of the core, times `in`.
template <const auto& kFactored, int row>
[[gnu::always_inline]] inline simd::Vec dot(const simd::Vec (&in)[kFactored.cols]) {
  constexpr int start = start_of(kFactored.core[row]);
  if constexpr (start < 0) return simd::zero();
  simd::Vec sum = in[start];
  if constexpr (kFactored.core[row][start] != 1) sum = simd::broadcast(kFactored.core[row][start]) * sum;
  unroll<kFactored.cols>([&](auto col) {
    constexpr float coefficient = kFactored.core[row][col];
    if constexpr (col == start || coefficient == 0)
      return;
    else if constexpr (coefficient == 1)
      sum = sum + in[col];
    else if constexpr (coefficient == -1)
      sum = sum - in[col];
    else
      sum = simd::fma(simd::broadcast(coefficient), in[col], sum);
  });
  return sum;
}

[[gnu::always_inline]] inline void to_sum_and_difference(simd::Vec& a, simd::Vec& b) {
  const simd::Vec sum = a + b;
  b = a - b;
  a = sum;
}

/// out = M * in, for one column of vectors.
template <const auto& kFactored>
[[gnu::always_inline]] inline void apply(simd::Vec (&in)[kFactored.cols], simd::Vec (&out)[kFactored.rows]) {
  unroll<kFactored.cols>([&](auto j) {
    if constexpr (kFactored.col_pair[j]) to_sum_and_difference(in[j], in[j + 1]);
  });
  unroll<kFactored.rows>([&](auto i) { out[i] = dot<kFactored, i>(in); });
  unroll<kFactored.rows>([&](auto i) {
    if constexpr (kFactored.row_pair[i]) to_sum_and_difference(out[i], out[i + 1]);
  });
}

/// Floats from an element of a line to the next, and from a line to the next. An element is a vector of channels.
struct Step {
  Dim along, across;
};

/// A matrix times `count` lines of vectors: each line has `in` elements before and `out` after.
struct LineTransform {
  void (*run)(const float* in, Step from, float* out, Step to, Dim count);
  int in, out;
};

template <const auto& kFactored>
void transform_lines(const float* in, Step from, float* out, Step to, Dim count) {
  for (Dim line = 0; line < count; ++line, in += from.across, out += to.across) {
    simd::Vec before[kFactored.cols], after[kFactored.rows];
    unroll<kFactored.cols>([&](auto i) { before[i] = simd::load(in + i * from.along); });
    apply<kFactored>(before, after);
    unroll<kFactored.rows>([&](auto i) { simd::store(out + i * to.along, after[i]); });
  }
}

template <const auto& kFactored>
inline constexpr LineTransform kLineTransform{transform_lines<kFactored>, kFactored.cols, kFactored.rows};

/// Most elements a tile has along an axis.
inline constexpr int kMostPoints = 8;

}  // namespace convbwd::winograd
