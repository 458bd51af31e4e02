// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "core/ranges.h"

namespace convbwd {

/// One phase of an image axis: every stride-th position, seen from the output gradient. Position
///     first + i * stride,  0 <= i < count,    takes    dy[i + lead - t * lag] * w[first_tap + t * tap_step]
/// for 0 <= t < taps. So a strided data gradient is `stride` convolutions of stride 1, each with its own part of the
/// filter, in which no product is with a zero that the stride put there.
struct Phase {
  Dim first, count;
  Dim taps, first_tap, tap_step;
  Dim lead, lag;

  /// Outputs that position 0 reads through the last tap, and one beyond what the last position reads through the first.
  Dim lowest() const { return lead - (taps - 1) * lag; }
  Dim beyond() const { return lead + count; }

  /// The taps through which position i reads an output that exists.
  Range taps_at(Dim i, Dim outputs) const;
};

/// The phases of an axis, by their first position. A position that no window reaches is in a phase without taps; taps
/// that reach no output from any position are left out.
std::vector<Phase> phases_of(Dim extent, Dim outputs, Dim filter, Dim stride, Dim dilation, Dim pad);

}  // namespace convbwd
