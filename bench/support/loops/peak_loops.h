// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/isa.h"
#include "core/problem.h"

namespace convbwd::support {

/// Loops that do nothing but keep one part of a core busy, compiled for one instruction set.
struct PeakLoops {
  Isa isa;
  double flops_per_round;
  float (*multiply_add)(long rounds);
  float (*read)(const float* from, Dim n);            // n is a multiple of kPeakLoopStep, as in all of them
  void (*copy)(const float* from, float* to, Dim n);  // to[i] = from[i]
  void (*triad)(const float* a, const float* b, float* to, Dim n);  // to[i] = a[i] + 0.5 b[i]
};
inline constexpr Dim kPeakLoopStep = 128;

}  // namespace convbwd::support
