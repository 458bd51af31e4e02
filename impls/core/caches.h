// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/problem.h"

namespace convbwd {

/// Bytes of a core's L2 cache, for blocking. Where the system does not say, 512 KB, which few CPUs have less than. (L3
/// is not asked for: a virtual machine reports the whole host's, of which it has a share.)
Dim l2_bytes();
inline Dim l2_floats() { return l2_bytes() / Dim{sizeof(float)}; }

/// Floats in a cache line.
inline constexpr Dim kLine = 16;

}  // namespace convbwd
