// SPDX-License-Identifier: Apache-2.0
//
// The algebra under winograd, in exact fractions: every algorithm in use and every smaller tile of it; and the vector
// code that is generated from it.
#include <gtest/gtest.h>

#include <cstdint>

#include "core/random.h"
#include "winograd/points.h"
#include "winograd/transform.h"

namespace convbwd::winograd {
namespace {

Rational random_fraction(std::uint64_t seed, int index) {
  return static_cast<long>(random_bits(seed, static_cast<std::uint64_t>(index)) % 9) - 4;
}

template <int rows, int cols>
Matrix<rows, cols> random_matrix(std::uint64_t seed) {
  Matrix<rows, cols> matrix;
  int index = 0;
  for (auto& row : matrix.at)
    for (Rational& element : row) element = random_fraction(seed, index++);
  return matrix;
}

template <int rows, int inner, int cols>
Matrix<rows, cols> product(const Matrix<rows, inner>& a, const Matrix<inner, cols>& b) {
  Matrix<rows, cols> result;
  for (int i = 0; i < rows; ++i)
    for (std::size_t j = 0; j < cols; ++j)
      for (int k = 0; k < inner; ++k) result[i][j] = result[i][j] + a[i][static_cast<std::size_t>(k)] * b[k][j];
  return result;
}

/// M t M'.
template <int rows, int cols>
Matrix<rows, rows> both_sides(const Matrix<rows, cols>& matrix, const Matrix<cols, cols>& tile) {
  return product(product(matrix, tile), transposed(matrix));
}

template <int n>
Matrix<n, n> elementwise(const Matrix<n, n>& a, const Matrix<n, n>& b) {
  Matrix<n, n> result;
  for (int i = 0; i < n; ++i)
    for (std::size_t j = 0; j < n; ++j) result[i][j] = a[i][j] * b[i][j];
  return result;
}

/// result[i][j] = sum over a, b of  moving[a][b] * image[i + a][j + b]: a convolution as in deep learning.
template <int outputs, int extent, int n>
Matrix<outputs, outputs> convolution(const Matrix<extent, extent>& moving, const Matrix<n, n>& image) {
  Matrix<outputs, outputs> result;
  for (int i = 0; i < outputs; ++i)
    for (int j = 0; j < outputs; ++j)
      for (int a = 0; a < extent; ++a)
        for (int b = 0; b < extent; ++b) {
          Rational& sum = result[i][static_cast<std::size_t>(j)];
          sum = sum + moving[a][static_cast<std::size_t>(b)] * image[i + a][static_cast<std::size_t>(j + b)];
        }
  return result;
}

/// F(m, r), or a smaller tile of it: s outputs from the first bins.
template <const auto& kMatrices, int s = kMatrices.A.cols>
struct Algorithm {
  static constexpr auto tile = tile_of<s>(kMatrices);
  static constexpr int m = s, r = kMatrices.G.cols, n = s + r - 1;
  static constexpr auto G = [] {
    Matrix<n, r> rows;
    for (int i = 0; i < n; ++i) rows[i] = kMatrices.G[i];
    return rows;
  }();
};

template <class Algorithm>
class Algebra : public testing::Test {};
using Algorithms =
    testing::Types<Algorithm<kF2x1>, Algorithm<kF2x2>, Algorithm<kF2x3>, Algorithm<kF2x4>, Algorithm<kF2x5>,
                   Algorithm<kF4x1>, Algorithm<kF4x1, 3>, Algorithm<kF4x2>, Algorithm<kF4x2, 3>, Algorithm<kF4x2, 2>,
                   Algorithm<kF4x3>, Algorithm<kF4x3, 3>, Algorithm<kF4x3, 2>, Algorithm<kF4x4>, Algorithm<kF4x4, 3>,
                   Algorithm<kF4x4, 2>, Algorithm<kF4x5>, Algorithm<kF4x5, 3>, Algorithm<kF4x5, 2>, Algorithm<kF6x1>,
                   Algorithm<kF6x2>, Algorithm<kF6x2, 4>, Algorithm<kF6x2, 2>, Algorithm<kF6x3>, Algorithm<kF6x3, 4>,
                   Algorithm<kF6x3, 2>>;
TYPED_TEST_SUITE(Algebra, Algorithms);

// y_i = sum_j g_j d_(i+j) for every g and d, and by reading the same sum the other way round every gradient of it,
// holds exactly when  sum_p A_pi G_pj B'_pk  is 1 for k = i + j and 0 otherwise.
TYPED_TEST(Algebra, TheTrilinearFormIsThatOfAConvolution) {
  using F = TypeParam;
  for (std::size_t i = 0; i < F::m; ++i)
    for (std::size_t j = 0; j < F::r; ++j)
      for (std::size_t k = 0; k < F::n; ++k) {
        Rational sum;
        for (int p = 0; p < F::n; ++p) sum = sum + F::tile.A[p][i] * F::G[p][j] * F::tile.Bt[p][k];
        EXPECT_EQ(sum, Rational(k == i + j ? 1 : 0)) << i << " " << j << " " << k;
      }
}

TYPED_TEST(Algebra, TilesOfTheOutputAreTheConvolution) {
  using F = TypeParam;
  constexpr int m = F::m, r = F::r, n = F::n;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const auto filter = random_matrix<r, r>(2 * seed);
    const auto tile = random_matrix<n, n>(2 * seed + 1);
    const auto bins = elementwise(both_sides(F::G, filter), both_sides(F::tile.Bt, tile));
    EXPECT_EQ(both_sides(transposed(F::tile.A), bins).at, (convolution<m>(filter, tile).at));
  }
}

TYPED_TEST(Algebra, TheTransposedAlgorithmIsTheWeightGradient) {
  using F = TypeParam;
  constexpr int m = F::m, r = F::r, n = F::n;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const auto dy = random_matrix<m, m>(2 * seed);
    const auto x = random_matrix<n, n>(2 * seed + 1);
    const auto bins = elementwise(both_sides(F::tile.Bt, x), both_sides(F::tile.A, dy));
    EXPECT_EQ(both_sides(transposed(F::G), bins).at, (convolution<r>(dy, x).at));
  }
}

/// The generated code against the matrices, one down the columns and one along the rows, on whole numbers that differ
/// from lane to lane. Powers of two in the denominators keep floats exact.
template <const auto& kDown, const auto& kAcross, int rows, int m, int cols, int n>
void expect_code_equals(const Matrix<rows, m>& down, const Matrix<cols, n>& across) {
  using simd::kWidth;
  float tile[m][n][kWidth], got[rows][cols][kWidth];
  Matrix<m, n> lanes[kWidth];
  for (std::size_t lane = 0; lane < kWidth; ++lane) {
    lanes[lane] = random_matrix<m, n>(lane);
    for (int i = 0; i < m; ++i)
      for (std::size_t j = 0; j < n; ++j) tile[i][j][lane] = static_cast<float>(static_cast<double>(lanes[lane][i][j]));
  }
  float halfway[rows][n][kWidth];
  kLineTransform<kDown>.run(tile[0][0], {n * kWidth, kWidth}, halfway[0][0], {n * kWidth, kWidth}, n);
  kLineTransform<kAcross>.run(halfway[0][0], {kWidth, n * kWidth}, got[0][0], {kWidth, cols * kWidth}, rows);
  for (std::size_t lane = 0; lane < kWidth; ++lane) {
    const auto expected = product(product(down, lanes[lane]), transposed(across));
    for (int i = 0; i < rows; ++i)
      for (std::size_t j = 0; j < cols; ++j)
        EXPECT_EQ(got[i][j][lane], static_cast<double>(expected[i][j])) << i << " " << j << " lane " << lane;
  }
}

template <const auto& kMatrices, int s>
struct Code {
  static constexpr auto tile = tile_of<s>(kMatrices);
  static constexpr auto G = kMatrices.G;
  static constexpr auto input = factored(tile.Bt), output_gradient = factored(tile.A);
  static constexpr auto output = factored(transposed(tile.A));
  static constexpr auto filter = factored(G), filter_gradient = factored(transposed(G));
};

TEST(VectorCode, IsTheMatrixForEveryTransformOfF2x3) {
  using F = Code<kF2x3, 2>;
  expect_code_equals<F::input, F::input>(F::tile.Bt, F::tile.Bt);
  expect_code_equals<F::filter, F::filter>(F::G, F::G);
  expect_code_equals<F::output, F::output>(transposed(F::tile.A), transposed(F::tile.A));
  expect_code_equals<F::output_gradient, F::output_gradient>(F::tile.A, F::tile.A);
  expect_code_equals<F::filter_gradient, F::filter_gradient>(transposed(F::G), transposed(F::G));
}

TEST(VectorCode, IsTheMatrixWhereCoefficientsAreNotOneAndAxesDiffer) {
  using F = Code<kF4x3, 4>;
  using Small = Code<kF4x3, 3>;
  using Even = Code<kF4x2, 2>;
  expect_code_equals<F::input, Small::input>(F::tile.Bt, Small::tile.Bt);
  expect_code_equals<Even::output, F::output>(transposed(Even::tile.A), transposed(F::tile.A));
  expect_code_equals<Small::output_gradient, Even::output_gradient>(Small::tile.A, Even::tile.A);
}

TEST(VectorCode, SharesTheWorkOfOppositePoints) {
  using F = Code<kF4x3, 4>;
  EXPECT_EQ(F::input.row_pair, (std::array{false, false, true, false, true, false}));
  EXPECT_EQ(F::output.col_pair, (std::array{false, false, true, false, true, false}));
  EXPECT_EQ(F::filter.row_pair, (std::array{false, false, true, false, true, false}));
}

TEST(Rationals, AreInLowestTermsWithAPositiveDenominator) {
  EXPECT_EQ(frac(6, -4), frac(-3, 2));
  EXPECT_EQ(frac(0, -7), Rational(0));
  EXPECT_EQ(frac(1, 3) + frac(1, 6), frac(1, 2));
  EXPECT_EQ(frac(2, 3) / frac(-4, 9), frac(-3, 2));
}

}  // namespace
}  // namespace convbwd::winograd
