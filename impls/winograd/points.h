// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "winograd/matrices.h"

// The algorithms in use. Points decide how accurate one is: these were found by search among fractions of eighths, and
// have half to a quarter of the error of 0, +-1, +-2, ... A point's negative follows it, so that they share their work,
// and the first points are those of a smaller tile.
namespace convbwd::winograd {

constexpr Rational frac(long top, long bottom) { return {top, bottom}; }

/// F(2, 3): every coefficient is 0, 1, -1 or 1/2, so whole numbers stay exact.
inline constexpr auto kF2x1 = one_tap<2>();
inline constexpr auto kF2x2 = toom_cook<2, 2>({0, 1});
inline constexpr auto kF2x3 = toom_cook<2, 3>({0, 1, -1});
inline constexpr auto kF2x4 = toom_cook<2, 4>({0, 1, -1, frac(1, 2)});
inline constexpr auto kF2x5 = toom_cook<2, 5>({0, frac(3, 4), frac(-3, 4), frac(7, 4), frac(-7, 4)});
static_assert(integer_growth(kF2x3) == 64, "4 a dimension, in halves");
static_assert(integer_growth(kF2x2) <= 64 && integer_growth(kF2x1) <= 64);

inline constexpr auto kF4x1 = one_tap<4>();
inline constexpr auto kF4x2 = toom_cook<4, 2>({0, frac(3, 4), frac(-3, 4), frac(3, 2)});
inline constexpr auto kF4x3 = toom_cook<4, 3>({0, frac(3, 4), frac(-3, 4), frac(3, 2), frac(-3, 2)});
inline constexpr auto kF4x4 = toom_cook<4, 4>({0, 1, -1, frac(1, 2), frac(-1, 2), 2});
inline constexpr auto kF4x5 = toom_cook<4, 5>({0, 1, -1, frac(1, 2), frac(-1, 2), 2, -2});

inline constexpr auto kF6x1 = one_tap<6>();
inline constexpr auto kF6x2 = toom_cook<6, 2>({0, 1, -1, frac(1, 2), frac(-1, 2), 2});
inline constexpr auto kF6x3 = toom_cook<6, 3>({0, 1, -1, frac(1, 2), frac(-1, 2), 2, -2});

}  // namespace convbwd::winograd
