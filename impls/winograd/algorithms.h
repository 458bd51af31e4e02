// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "winograd/transform.h"

namespace convbwd::winograd {

/// How a tile of `outputs` neighbours along an axis is computed in `points` products.
struct TileSize {
  int outputs, points;
  LineTransform input;            // B': points of the image that filters slide over, to bins
  LineTransform output;           // A': bins to outputs
  LineTransform output_gradient;  // A:  outputs to bins
};

/// F(m, r) along one axis. Smaller tiles use the first bins of a larger one, and the same transformed filters.
struct AxisAlgorithm {
  int taps;
  std::span<const TileSize> sizes;  // largest first
  LineTransform filter;             // G:  taps to bins; one tap to the value that all bins share
  LineTransform filter_gradient;    // G': bins to taps; the sum of all bins to one tap

  int roundings;  // of an input, on its way through B', G and A' (or A, B' and G'), at most

  const TileSize& largest() const { return sizes.front(); }
};

/// An algorithm as it is, or with the absolute values of its matrices, for a bound of its error.
enum class Constants { signed_, absolute };

/// F(m, taps), or nothing where it would be too inaccurate to be of use: m = 2, 4 with 1 to 5 taps, m = 6 with 1 to 3.
const AxisAlgorithm* axis_algorithm(int m, Dim taps, Constants constants);

}  // namespace convbwd::winograd
