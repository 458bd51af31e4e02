// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/ranges.h"

namespace convbwd::avx2 {

/// Floats in a ymm register. All tensors of this folder have their channels in vectors of so many.
inline constexpr Dim kLanes = 8;

constexpr Dim vectors(Dim channels) { return ceil_div(channels, kLanes); }

/// A dense, unpadded 1x1 layer does not know where its rows end. Joins as many rows as give at most 128 columns, which
/// leaves fewer and fuller tiles; any other problem is returned as it is.
Problem with_joined_rows(const Problem& problem);

}  // namespace convbwd::avx2
