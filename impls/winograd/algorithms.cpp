// SPDX-License-Identifier: Apache-2.0
#include "winograd/algorithms.h"

#include <algorithm>
#include <array>

#include "winograd/points.h"

namespace convbwd::winograd {
namespace {

/// The matrix of a transform.
template <Constants kConstants, int rows, int cols>
constexpr auto code_of(const Matrix<rows, cols>& matrix) {
  return factored(kConstants == Constants::signed_ ? matrix : absolute(matrix));
}

/// The code of a tile of s outputs.
template <const auto& kMatrices, Constants kConstants, int s>
struct TileCode {
  static constexpr auto tile = tile_of<s>(kMatrices);
  static constexpr auto input = code_of<kConstants>(tile.Bt), output_gradient = code_of<kConstants>(tile.A);
  static constexpr auto output = code_of<kConstants>(transposed(tile.A));
  static_assert(tile.Bt.rows <= kMostPoints);
  static constexpr TileSize size{s, tile.Bt.rows, kLineTransform<input>, kLineTransform<output>,
                                 kLineTransform<output_gradient>};
};

/// The code of an algorithm with tiles of these sizes.
template <const auto& kMatrices, Constants kConstants, int... s>
struct AxisCode {
  static constexpr auto filter = code_of<kConstants>(filter_matrix(kMatrices));
  static constexpr auto filter_gradient = code_of<kConstants>(transposed(filter_matrix(kMatrices)));
  static constexpr std::array<TileSize, sizeof...(s)> sizes{TileCode<kMatrices, kConstants, s>::size...};
  // Of each sum: its additions, one that a shared even and odd part adds, and its coefficient, which may be rounded
  // too.
  static constexpr int roundings = longest_row(kMatrices.Bt) + longest_row(kMatrices.G) +
                                   longest_row(transposed(kMatrices.G)) + longest_row(kMatrices.A) +
                                   longest_row(transposed(kMatrices.A)) + 2 * 5;
  static constexpr AxisAlgorithm algorithm{kMatrices.G.cols, sizes, kLineTransform<filter>,
                                           kLineTransform<filter_gradient>, roundings};
};

template <Constants kConstants>
constexpr AxisAlgorithm kAlgorithms[] = {
    AxisCode<kF2x1, kConstants, 2>::algorithm,       AxisCode<kF2x2, kConstants, 2>::algorithm,
    AxisCode<kF2x3, kConstants, 2>::algorithm,       AxisCode<kF2x4, kConstants, 2>::algorithm,
    AxisCode<kF2x5, kConstants, 2>::algorithm,       AxisCode<kF4x1, kConstants, 4, 3, 2>::algorithm,
    AxisCode<kF4x2, kConstants, 4, 3, 2>::algorithm, AxisCode<kF4x3, kConstants, 4, 3, 2>::algorithm,
    AxisCode<kF4x4, kConstants, 4, 3, 2>::algorithm, AxisCode<kF4x5, kConstants, 4, 3, 2>::algorithm,
    AxisCode<kF6x1, kConstants, 6, 4, 2>::algorithm, AxisCode<kF6x2, kConstants, 6, 4, 2>::algorithm,
    AxisCode<kF6x3, kConstants, 6, 4, 2>::algorithm,
};

}  // namespace

const AxisAlgorithm* axis_algorithm(int m, Dim taps, Constants constants) {
  const std::span<const AxisAlgorithm> all =
      constants == Constants::signed_ ? kAlgorithms<Constants::signed_> : kAlgorithms<Constants::absolute>;
  const auto found = std::ranges::find_if(
      all, [&](const AxisAlgorithm& each) { return each.largest().outputs == m && each.taps == taps; });
  return found == all.end() ? nullptr : &*found;
}

}  // namespace convbwd::winograd
