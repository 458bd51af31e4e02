// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/problem.h"

namespace convbwd::avx2 {

/// Floats in a ymm register. All tensors of this folder have their channels in vectors of so many.
inline constexpr Dim kLanes = 8;

constexpr Dim ceil_div(Dim a, Dim b) { return (a + b - 1) / b; }
constexpr Dim vectors(Dim channels) { return ceil_div(channels, kLanes); }

/// [begin, end), empty where begin >= end.
struct Range {
  Dim begin, end;
  Dim size() const { return end > begin ? end - begin : 0; }
};

/// `total` things in `count` parts whose sizes differ by one at most. Tiles are cut like this because 14 columns take
/// 14 steps as 4 + 4 + 3 + 3, but more as 4 + 4 + 4 + 2: a tile of two has too few sums to hide the latency of an FMA.
struct Parts {
  Dim total, count;
  Dim begin(Dim i) const { return total * i / count; }
  Range part(Dim i) const { return {begin(i), begin(i + 1)}; }
  Dim largest() const { return ceil_div(total, count); }
  Dim part_of(Dim thing) const { return ((thing + 1) * count - 1) / total; }
};
constexpr Parts parts_of_at_most(Dim most, Dim total) { return {total, ceil_div(total, most)}; }

/// A dense, unpadded 1x1 layer does not know where its rows end. Joins as many rows as give at most 128 columns, which
/// leaves fewer and fuller tiles; any other problem is returned as it is.
Problem with_joined_rows(const Problem& problem);

}  // namespace convbwd::avx2
