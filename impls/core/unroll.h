// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <type_traits>
#include <utility>

namespace convbwd {

/// body(0), body(1), ... body(kCount - 1), each with its number as a compile-time constant.
template <int kCount, class Body>
[[gnu::always_inline]] constexpr void unroll(const Body& body) {
  [&]<int... i>(std::integer_sequence<int, i...>) __attribute__((always_inline)) {
    (body(std::integral_constant<int, i>{}), ...);
  }
  (std::make_integer_sequence<int, kCount>{});
}

}  // namespace convbwd
