// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
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

/// The absolute values.
template <int kRows, int kCols>
constexpr Matrix<kRows, kCols> absolute(Matrix<kRows, kCols> matrix) {
  for (auto& row : matrix.at)
    for (Rational& element : row)
      if (element.numerator < 0) element = -element;
  return matrix;
}

/// The most elements of a row that are not zero.
template <int kRows, int kCols>
constexpr int longest_row(const Matrix<kRows, kCols>& matrix) {
  std::ptrdiff_t longest = 0;
  for (const auto& row : matrix.at)
    longest = std::max(longest, kCols - std::count(row.begin(), row.end(), Rational(0)));
  return static_cast<int>(longest);
}

/// F(m, r): m outputs of an r-tap filter in n = m + r - 1 multiplications,
///     y = A' [ (G g) * (B' d) ]        (A' is A transposed, * is element by element)
/// A evaluates a polynomial with m coefficients at the n points, G one with r coefficients, and B' interpolates.
template <int m, int r>
struct Matrices {
  static constexpr int n = m + r - 1;
  std::array<Rational, m + r - 2> points;  // the finite ones
  Matrix<n, m> A;
  Matrix<n, r> G;
  Matrix<n, n> Bt;
};

/// A and B' of a tile of s <= m outputs that shares the transformed filter of F(m, r), see tile_of().
template <int s, int r>
struct TileMatrices {
  Matrix<s + r - 1, s> A;
  Matrix<s + r - 1, s + r - 1> Bt;
};

/// Row i of A holds the powers of point i, row i of B' the coefficients of the product of (z - a_j) over the other
/// finite points; row 0 is the point infinity. A smaller tile uses infinity and the first s + r - 2 points. Its own
/// filter transform would divide row i by fewer differences a_i - a_j than G does, so B' is multiplied by those left
/// out: the products of a filter with tiles of all sizes then need one transform of the filter.
template <int s, int m, int r>
constexpr TileMatrices<s, r> tile_of(const std::array<Rational, m + r - 2>& points) {
  constexpr std::size_t finite = s + r - 2;
  TileMatrices<s, r> tile;
  for (std::size_t i = 0; i <= finite; ++i) {
    auto& row = tile.Bt.at[i];
    row[0] = 1;
    Rational scale = 1, sign = 1;
    for (std::size_t j = 0; j < points.size(); ++j) {
      if (j + 1 == i) continue;
      const Rational difference = i > 0 ? points[i - 1] - points[j] : Rational(1);
      if (difference.numerator < 0) sign = -sign;
      if (j >= finite) {
        if (i > 0) scale = scale * difference;
        continue;
      }
      for (std::size_t power = finite; power > 0; --power) row[power] = row[power - 1] - points[j] * row[power];
      row[0] = -points[j] * row[0];
    }
    for (Rational& coefficient : row) coefficient = sign * scale * coefficient;
    if (i == 0) {
      tile.A.at[0].back() = 1;
      continue;
    }
    Rational power = 1;
    for (Rational& coefficient : tile.A.at[i]) {
      coefficient = power;
      power = power * points[i - 1];
    }
  }
  return tile;
}

/// The matrices for the finite points given, and infinity. What B' leaves undivided, the product of a_i - a_j, divides
/// row i of G, so that A and B', which are applied to the large tensors, have the simple numbers. Row i of G and B'
/// change sign where the divisor is negative.
template <int m, int r>
constexpr Matrices<m, r> toom_cook(const std::array<Rational, m + r - 2>& points) {
  const TileMatrices<m, r> tile = tile_of<m, m, r>(points);
  Matrices<m, r> result{points, tile.A, {}, tile.Bt};
  result.G[0].back() = 1;
  for (std::size_t i = 1; i < result.n; ++i) {
    Rational divisor = 1;
    for (std::size_t j = 1; j < result.n; ++j)
      if (j != i) divisor = divisor * (points[i - 1] - points[j - 1]);
    Rational power = Rational(divisor.numerator < 0 ? -1 : 1) / divisor;
    for (Rational& coefficient : result.G.at[i]) {
      coefficient = power;
      power = power * points[i - 1];
    }
  }
  return result;
}

/// A filter of one tap needs no points: its m outputs are m products, and no transform but copies.
template <int m>
constexpr Matrices<m, 1> one_tap() {
  Matrices<m, 1> result;
  for (std::size_t i = 0; i < m; ++i) result.A.at[i][i] = result.G.at[i][0] = result.Bt.at[i][i] = 1;
  return result;
}

/// G; of a filter of one tap a single row, for its value is the same in every bin.
template <int m, int r>
constexpr auto filter_matrix(const Matrices<m, r>& matrices) {
  if constexpr (r == 1)
    return one_tap<1>().G;
  else
    return matrices.G;
}

template <int s, int m, int r>
constexpr TileMatrices<s, r> tile_of(const Matrices<m, r>& matrices) {
  if constexpr (r == 1) {
    const Matrices<s, 1> tile = one_tap<s>();
    return {tile.A, tile.Bt};
  } else {
    return tile_of<s, m, r>(matrices.points);
  }
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

}  // namespace convbwd::winograd
