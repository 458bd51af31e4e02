// SPDX-License-Identifier: Apache-2.0
#include "winograd/algorithms.h"

#include <algorithm>
#include <array>

#include "winograd/points.h"

namespace convbwd::winograd {
namespace {

/// The code of a tile of s outputs.
template <const auto& kMatrices, int s>
struct TileCode {
  static constexpr auto tile = tile_of<s>(kMatrices);
  static constexpr auto input = factored(tile.Bt), output_gradient = factored(tile.A);
  static constexpr auto output = factored(transposed(tile.A));
  static_assert(tile.Bt.rows <= kMostPoints);
  static constexpr TileSize size{s, tile.Bt.rows, kLineTransform<input>, kLineTransform<output>,
                                 kLineTransform<output_gradient>};
};

/// The code of an algorithm with tiles of these sizes.
template <const auto& kMatrices, int... s>
struct AxisCode {
  static constexpr auto filter = factored(kMatrices.G), filter_gradient = factored(transposed(kMatrices.G));
  static constexpr std::array<TileSize, sizeof...(s)> sizes{TileCode<kMatrices, s>::size...};
  static constexpr AxisAlgorithm algorithm{kMatrices.G.cols, sizes, kLineTransform<filter>,
                                           kLineTransform<filter_gradient>};
};

constexpr AxisAlgorithm kAlgorithms[] = {
    AxisCode<kF2x1, 2>::algorithm,       AxisCode<kF2x2, 2>::algorithm,       AxisCode<kF2x3, 2>::algorithm,
    AxisCode<kF2x4, 2>::algorithm,       AxisCode<kF2x5, 2>::algorithm,       AxisCode<kF4x1, 4, 3, 2>::algorithm,
    AxisCode<kF4x2, 4, 3, 2>::algorithm, AxisCode<kF4x3, 4, 3, 2>::algorithm, AxisCode<kF4x4, 4, 3, 2>::algorithm,
    AxisCode<kF4x5, 4, 3, 2>::algorithm, AxisCode<kF6x1, 6, 4, 2>::algorithm, AxisCode<kF6x2, 6, 4, 2>::algorithm,
    AxisCode<kF6x3, 6, 4, 2>::algorithm,
};

}  // namespace

const AxisAlgorithm* axis_algorithm(int m, Dim taps) {
  const auto* found = std::ranges::find_if(
      kAlgorithms, [&](const AxisAlgorithm& each) { return each.largest().outputs == m && each.taps == taps; });
  return found == std::end(kAlgorithms) ? nullptr : found;
}

}  // namespace convbwd::winograd
