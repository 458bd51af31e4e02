// SPDX-License-Identifier: Apache-2.0
//
// The algebra under winograd, in exact fractions, and the vector code that is generated from it.
#include <gtest/gtest.h>

#include <cstdint>

#include "core/random.h"
#include "winograd/matrices.h"
#include "winograd/transform.h"

namespace convbwd::winograd {
namespace {

constexpr Rational frac(long top, long bottom) { return {top, bottom}; }

// The sets of points that the literature recommends, beside the one in use: the generator must not depend on F(2, 3).
constexpr auto kF2x5 = toom_cook<2, 5>({0, frac(3, 4), frac(-3, 4), frac(7, 4), frac(-7, 4)});
constexpr auto kF3x3 = toom_cook<3, 3>({0, 1, -1, 2});
constexpr auto kF4x3 = toom_cook<4, 3>({0, frac(3, 4), frac(-3, 4), frac(3, 2), frac(-3, 2)});
constexpr auto kF6x3 = toom_cook<6, 3>({0, 1, -1, 2, -2, frac(1, 2), frac(-1, 2)});

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

template <const auto& kMatrices>
struct Algorithm {
  static constexpr const auto& matrices = kMatrices;
};

template <class Algorithm>
class Algebra : public testing::Test {};
using Algorithms =
    testing::Types<Algorithm<kF2x3>, Algorithm<kF3x3>, Algorithm<kF4x3>, Algorithm<kF6x3>, Algorithm<kF2x5>>;
TYPED_TEST_SUITE(Algebra, Algorithms);

// y_i = sum_j g_j d_(i+j) for every g and d, and by reading the same sum the other way round every gradient of it,
// holds exactly when  sum_p A_pi G_pj B'_pk  is 1 for k = i + j and 0 otherwise.
TYPED_TEST(Algebra, TheTrilinearFormIsThatOfAConvolution) {
  constexpr const auto& f = TypeParam::matrices;
  for (std::size_t i = 0; i < f.A.cols; ++i)
    for (std::size_t j = 0; j < f.G.cols; ++j)
      for (std::size_t k = 0; k < f.Bt.cols; ++k) {
        Rational sum;
        for (int p = 0; p < f.n; ++p) sum = sum + f.A[p][i] * f.G[p][j] * f.Bt[p][k];
        EXPECT_EQ(sum, Rational(k == i + j ? 1 : 0)) << i << " " << j << " " << k;
      }
}

TYPED_TEST(Algebra, TilesOfTheOutputAreTheConvolution) {
  constexpr const auto& f = TypeParam::matrices;
  constexpr int m = f.A.cols, r = f.G.cols, n = f.n;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const auto filter = random_matrix<r, r>(2 * seed);
    const auto tile = random_matrix<n, n>(2 * seed + 1);
    const auto bins = elementwise(both_sides(f.G, filter), both_sides(f.Bt, tile));
    EXPECT_EQ(both_sides(transposed(f.A), bins).at, (convolution<m>(filter, tile).at));
  }
}

TYPED_TEST(Algebra, TheTransposedAlgorithmIsTheWeightGradient) {
  constexpr const auto& f = TypeParam::matrices;
  constexpr int m = f.A.cols, r = f.G.cols, n = f.n;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const auto dy = random_matrix<m, m>(2 * seed);
    const auto x = random_matrix<n, n>(2 * seed + 1);
    const auto bins = elementwise(both_sides(f.Bt, x), both_sides(f.A, dy));
    EXPECT_EQ(both_sides(transposed(f.G), bins).at, (convolution<r>(dy, x).at));
  }
}

/// The generated code against the matrix, on whole numbers that differ from lane to lane. Powers of two in the
/// denominators keep floats exact.
template <const auto& kFactored, int rows, int cols>
void expect_code_equals(const Matrix<rows, cols>& matrix) {
  using simd::kWidth;
  float tile[cols][cols][kWidth], got[rows][rows][kWidth];
  Matrix<cols, cols> lanes[kWidth];
  for (std::size_t lane = 0; lane < kWidth; ++lane) {
    lanes[lane] = random_matrix<cols, cols>(lane);
    for (int i = 0; i < cols; ++i)
      for (std::size_t j = 0; j < cols; ++j)
        tile[i][j][lane] = static_cast<float>(static_cast<double>(lanes[lane][i][j]));
  }
  transform<kFactored>([&](auto i, auto j) { return simd::load(tile[i][j]); },
                       [&](auto i, auto j, simd::Vec value) { simd::store(got[i][j], value); });
  for (std::size_t lane = 0; lane < kWidth; ++lane) {
    const auto expected = both_sides(matrix, lanes[lane]);
    for (int i = 0; i < rows; ++i)
      for (std::size_t j = 0; j < rows; ++j)
        EXPECT_EQ(got[i][j][lane], static_cast<double>(expected[i][j])) << i << " " << j << " lane " << lane;
  }
}

TEST(VectorCode, IsTheMatrixForEveryTransformOfF2x3) {
  using F = Transforms<kF2x3>;
  expect_code_equals<F::input>(kF2x3.Bt);
  expect_code_equals<F::filter>(kF2x3.G);
  expect_code_equals<F::output>(transposed(kF2x3.A));
  expect_code_equals<F::output_gradient>(kF2x3.A);
  expect_code_equals<F::filter_gradient>(transposed(kF2x3.G));
}

TEST(VectorCode, IsTheMatrixWhereCoefficientsAreNotOne) {
  using F = Transforms<kF4x3>;
  expect_code_equals<F::input>(kF4x3.Bt);
  expect_code_equals<F::output>(transposed(kF4x3.A));
  expect_code_equals<F::output_gradient>(kF4x3.A);
}

TEST(VectorCode, SharesTheWorkOfOppositePoints) {
  using F = Transforms<kF4x3>;
  EXPECT_EQ(F::input.row_pair, (std::array{false, true, false, true, false, false}));
  EXPECT_EQ(F::output.col_pair, (std::array{false, true, false, true, false, false}));
  EXPECT_EQ(F::filter.row_pair, (std::array{false, true, false, true, false, false}));
}

TEST(Rationals, AreInLowestTermsWithAPositiveDenominator) {
  EXPECT_EQ(frac(6, -4), frac(-3, 2));
  EXPECT_EQ(frac(0, -7), Rational(0));
  EXPECT_EQ(frac(1, 3) + frac(1, 6), frac(1, 2));
  EXPECT_EQ(frac(2, 3) / frac(-4, 9), frac(-3, 2));
}

}  // namespace
}  // namespace convbwd::winograd
