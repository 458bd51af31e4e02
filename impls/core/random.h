// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace convbwd {

/// The `index`-th number of the random sequence `seed`, uniform in 64 bits (SplitMix64, Steele, Lea, Flood 2014).
/// Being a function of the index it gives the same numbers in any order, layout and number of threads.
constexpr std::uint64_t random_bits(std::uint64_t seed, std::uint64_t index) {
  std::uint64_t z = seed * 0xD1B54A32D192ED03u + (index + 1) * 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

}  // namespace convbwd
