// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "core/problem.h"

namespace convbwd::direct {

/// Positions and outputs of an axis between which a convolution of stride 1 and dilation 1 is left: position
///     x_first + i * x_step,  0 <= i < x_count,    meets    y_first + (i + lead - t) * y_step
/// through tap  first_tap + t * tap_step,  0 <= t < taps,  where  0 <= i + lead - t < y_count.
struct Walk {
  Dim x_first, x_step, x_count;
  Dim y_first, y_step, y_count;
  Dim lead;
  Dim first_tap, tap_step, taps;
  bool first;  // of the walks along these positions, which have up to most_taps taps each
};

/// All walks of an axis. Every position is in at least one, even if it meets nothing.
std::vector<Walk> walks_of(Dim extent, Dim outputs, Dim filter, Dim stride, Dim dilation, Dim pad, Dim most_taps);

}  // namespace convbwd::direct
