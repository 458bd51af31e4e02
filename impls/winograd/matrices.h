// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <numeric>

namespace convbwd::winograd {

/// An exact fraction in lowest terms, denominator positive.
struct Rational {
  long numerator = 0, denominator = 1;

  constexpr Rational(long whole = 0) : numerator(whole) {}  // NOLINT: a whole number is a fraction
  constexpr Rational(long top, long bottom) {
    const long common = std::gcd(top, bottom) * (bottom < 0 ? -1 : 1);
    numerator = top / common;
    denominator = bottom / common;
  }

  constexpr bool operator==(const Rational&) const = default;
  constexpr explicit operator double() const {
    return static_cast<double>(numerator) / static_cast<double>(denominator);
  }
};
constexpr Rational operator-(Rational a) { return {-a.numerator, a.denominator}; }
constexpr Rational operator+(Rational a, Rational b) {
  const long common = std::lcm(a.denominator, b.denominator);
  return {a.numerator * (common / a.denominator) + b.numerator * (common / b.denominator), common};
}
constexpr Rational operator-(Rational a, Rational b) { return a + -b; }
constexpr Rational operator*(Rational a, Rational b) {
  const Rational left{a.numerator, b.denominator}, right{b.numerator, a.denominator};  // cancelled before they grow
  return {left.numerator * right.numerator, left.denominator * right.denominator};
}
constexpr Rational operator/(Rational a, Rational b) { return a * Rational{b.denominator, b.numerator}; }

template <int kRows, int kCols, class T = Rational>
struct Matrix {
  static constexpr int rows = kRows, cols = kCols;
  std::array<std::array<T, kCols>, kRows> at;

  constexpr Matrix() {  // `at{}` is zero bytes, without Rational's constructor, to gcc 12.2
    for (auto& row : at) row.fill(T(0));
  }
  constexpr std::array<T, kCols>& operator[](int row) { return at[static_cast<std::size_t>(row)]; }
  constexpr const std::array<T, kCols>& operator[](int row) const { return at[static_cast<std::size_t>(row)]; }
};

template <int kRows, int kCols, class T>
constexpr Matrix<kCols, kRows, T> transposed(const Matrix<kRows, kCols, T>& matrix) {
  Matrix<kCols, kRows, T> result;
  for (int row = 0; row < kRows; ++row)
    for (std::size_t col = 0; col < kCols; ++col) result.at[col][static_cast<std::size_t>(row)] = matrix[row][col];
  return result;
}

/// F(m, r): m outputs of an r-tap filter in n = m + r - 1 multiplications,
///     y = A' [ (G g) * (B' d) ]        (A' is A transposed, * is element by element)
/// A evaluates a polynomial with m coefficients at the n points, G one with r coefficients, and B' interpolates.
template <int m, int r>
struct Matrices {
  static constexpr int n = m + r - 1;
  Matrix<n, m> A;
  Matrix<n, r> G;
  Matrix<n, n> Bt;
};

/// The matrices for the finite points given, and infinity. Row i of A and G holds the powers of point a_i, row i of B'
/// the coefficients of prod over j != i of (z - a_j); G is divided by what that product is at a_i, so that A and B',
/// which are applied to the large tensors, have the simple numbers. Row i of G and B' change sign where the divisor is
/// negative.
template <int m, int r>
constexpr Matrices<m, r> toom_cook(const std::array<Rational, m + r - 2>& points) {
  constexpr int n = m + r - 1;
  Matrices<m, r> result;
  for (int i = 0; i < n; ++i) {
    const bool infinite = i == n - 1;
    std::array<Rational, n> product{};  // coefficients, lowest power first
    product[0] = 1;
    Rational divisor = 1;
    for (int j = 0; j < n - 1; ++j) {
      if (j == i) continue;
      const Rational root = points[static_cast<std::size_t>(j)];
      for (std::size_t power = n - 1; power > 0; --power) product[power] = product[power - 1] - root * product[power];
      product[0] = -root * product[0];
      if (!infinite) divisor = divisor * (points[static_cast<std::size_t>(i)] - root);
    }
    const Rational sign = divisor.numerator < 0 ? -1 : 1;
    for (std::size_t power = 0; power < n; ++power) result.Bt[i][power] = sign * product[power];
    const auto evaluate = [&](auto& row, Rational scale) {
      if (infinite) {
        row.back() = 1;
        return;
      }
      for (Rational& coefficient : row) {
        coefficient = scale;
        scale = scale * points[static_cast<std::size_t>(i)];
      }
    };
    evaluate(result.A[i], 1);
    evaluate(result.G[i], sign / divisor);
  }
  return result;
}

/// How large numbers get on the way, for whole numbers as input. With S the sum of the absolute values of the filters
/// (of dy, for the weight gradient) that enter a result and max the largest value of the other tensor, everything that
/// is computed is at most growth * S * max, counted in units of the smallest fraction. In one dimension
///     |result| <= sum over i of |A_ia| * |G_ir| * (sum over j of |B'_ij|) * S * max       for the worst a and r,
/// where a result is the sum of everything before it; in two dimensions that factor, and the unit, are squared.
template <int m, int r>
constexpr double integer_growth(const Matrices<m, r>& matrices) {
  const auto magnitude = [](Rational a) { return static_cast<double>(a.numerator < 0 ? -a : a); };
  double worst = 0;
  long unit = 1;
  for (std::size_t a = 0; a < m; ++a)
    for (std::size_t tap = 0; tap < r; ++tap) {
      double bound = 0;
      for (int i = 0; i < Matrices<m, r>::n; ++i) {
        double row = 0;
        for (Rational coefficient : matrices.Bt[i]) row += magnitude(coefficient);
        bound += magnitude(matrices.A[i][a]) * magnitude(matrices.G[i][tap]) * row;
        unit = std::lcm(unit, matrices.G[i][tap].denominator);
      }
      worst = std::max(worst, bound);
    }
  const double growth = worst * static_cast<double>(unit);
  return growth * growth;
}

/// F(2, 3): every coefficient is 0, 1, -1 or 1/2.
inline constexpr Matrices<2, 3> kF2x3 = toom_cook<2, 3>({0, 1, -1});
static_assert(integer_growth(kF2x3) == 64, "4 a dimension, in halves");

}  // namespace convbwd::winograd
