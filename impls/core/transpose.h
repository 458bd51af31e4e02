// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <utility>

#include "core/simd.h"
#include "core/unroll.h"

namespace convbwd::simd {

/// Swaps the lanes of a that have bit `bit` with those of b that have not, kWidth = 4, bit = 1:
///     a0 a1 a2 a3      a0 b0 a2 b2
///     b0 b1 b2 b3  ->  a1 b1 a3 b3
template <int bit>
[[gnu::always_inline]] inline void exchange(Vec& a, Vec& b) {
  [&]<int... lane>(std::integer_sequence<int, lane...>) {
    const Vec first{__builtin_shufflevector(a.v, b.v, (lane & bit ? int{kWidth} + lane - bit : lane)...)};
    b.v = __builtin_shufflevector(a.v, b.v, (lane & bit ? int{kWidth} + lane : lane + bit)...);
    a = first;
  }
  (std::make_integer_sequence<int, int{kWidth}>{});
}

/// Lane j of row i becomes lane i of row j: log2(kWidth) rounds of exchanges.
template <int bit = 1>
[[gnu::always_inline]] inline void transpose(Vec (&rows)[kWidth]) {
  unroll<int{kWidth}>([&](auto i) {
    if constexpr ((i & bit) == 0) exchange<bit>(rows[i], rows[i + bit]);
  });
  if constexpr (2 * bit < kWidth) transpose<2 * bit>(rows);
}

}  // namespace convbwd::simd
