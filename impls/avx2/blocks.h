// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/ranges.h"

namespace convbwd::avx2 {

/// Floats in a ymm register. All tensors of this folder have their channels in vectors of so many.
inline constexpr Dim kLanes = 8;

constexpr Dim vectors(Dim channels) { return ceil_div(channels, kLanes); }

}  // namespace convbwd::avx2
