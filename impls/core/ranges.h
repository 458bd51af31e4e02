// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>

#include "core/problem.h"

namespace convbwd {

/// a / b rounded up, for b > 0 and a > -b; and rounded down, for b > 0 and any a.
constexpr Dim ceil_div(Dim a, Dim b) { return (a + b - 1) / b; }
constexpr Dim floor_div(Dim a, Dim b) { return a >= 0 ? a / b : -ceil_div(-a, b); }

/// [begin, end), empty where begin >= end.
struct Range {
  Dim begin = 0, end = 0;
  constexpr Dim size() const { return end > begin ? end - begin : 0; }
};

/// `total` things in `count` parts whose sizes differ by one at most. Tiles are cut like this because 14 columns take
/// 14 steps as 4 + 4 + 3 + 3, but more as 4 + 4 + 4 + 2: a tile of two has too few sums to hide the latency of an FMA.
struct Parts {
  Dim total = 0, count = 1;
  constexpr Dim begin(Dim i) const { return total * i / count; }
  constexpr Range part(Dim i) const { return {begin(i), begin(i + 1)}; }
  constexpr Dim largest() const { return count ? ceil_div(total, count) : 0; }  // nothing has no parts
  constexpr Dim part_of(Dim thing) const { return ((thing + 1) * count - 1) / total; }
};
constexpr Parts parts_of_at_most(Dim most, Dim total) { return {total, ceil_div(total, most)}; }

/// visit(count, size, begin) for the parts of at most `most` of each size, of which there are two at most: neighbours,
/// the larger ones first.
template <class Visit>
constexpr void for_each_size(Dim most, Dim total, Visit visit) {
  if (total <= 0) return;
  const Dim count = ceil_div(total, most), small = total / count, large = total % count;
  if (large > 0) visit(large, small + 1, Dim{0});
  visit(count - large, small, large * (small + 1));
}

/// Part `i` of `parts`.
constexpr Range part(Dim extent, Dim parts, Dim i) { return Parts{extent, parts}.part(i); }

/// The outputs o of 0 ... outputs - 1 whose position o * stride + offset is one of 0 ... extent - 1.
constexpr Range outputs_inside(Dim extent, Dim outputs, Dim stride, Dim offset) {
  const Dim first = offset >= 0 ? 0 : ceil_div(-offset, stride);
  const Dim end = offset >= extent ? 0 : ceil_div(extent - offset, stride);
  return {first, std::min(outputs, end)};
}

}  // namespace convbwd
