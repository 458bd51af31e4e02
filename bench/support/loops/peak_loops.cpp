// SPDX-License-Identifier: Apache-2.0
#include "support/loops/peak_loops.h"

#include "core/simd.h"

namespace convbwd::support {
namespace {

// Two constants, and everything else is accumulators: 14 of 16 or 30 of 32 registers. A core starts two fused
// multiply-adds a cycle and has each finished after 4 or 5, so 10 would do; without FMA it is 8 cycles for the two.
constexpr int kChains = simd::kRegisters - 2;
static_assert(kChains >= 10, "fewer chains than operations in flight would measure latency");

// An addition takes 3 or 4 cycles and two loads are started in each: 8 sums do not wait for each other.
constexpr int kSums = 8;
static_assert(kPeakLoopStep % (kSums * simd::kWidth) == 0);

/// Enough of a result that all of it must be computed.
float any_lane(simd::Vec a) {
  float lanes[simd::kWidth];
  simd::store(lanes, a);
  return lanes[0];
}

float multiply_add(long rounds) {
  const simd::Vec scale = simd::broadcast(0.999f), offset = simd::broadcast(1e-3f);  // converges to 1
  simd::Vec chain[kChains];
#pragma GCC unroll 32
  for (int i = 0; i < kChains; ++i) chain[i] = simd::broadcast(static_cast<float>(i));
  for (long round = 0; round < rounds; ++round) {
#pragma GCC unroll 32
    for (int i = 0; i < kChains; ++i) chain[i] = simd::fma(chain[i], scale, offset);
  }
  simd::Vec total = chain[0];
#pragma GCC unroll 32
  for (int i = 1; i < kChains; ++i) total = total + chain[i];
  return any_lane(total);
}

float read(const float* from, Dim n) {
  simd::Vec total[kSums];
#pragma GCC unroll 8
  for (int i = 0; i < kSums; ++i) total[i] = simd::zero();
  for (Dim at = 0; at < n; at += kSums * simd::kWidth)
#pragma GCC unroll 8
    for (int i = 0; i < kSums; ++i) total[i] = total[i] + simd::load(from + at + i * simd::kWidth);
#pragma GCC unroll 8
  for (int i = 1; i < kSums; ++i) total[0] = total[0] + total[i];
  return any_lane(total[0]);
}

void copy(const float* from, float* to, Dim n) {
  for (Dim at = 0; at < n; at += kSums * simd::kWidth) {
#pragma GCC unroll 8
    for (int i = 0; i < kSums; ++i) simd::store(to + at + i * simd::kWidth, simd::load(from + at + i * simd::kWidth));
    asm volatile("" ::: "memory");  // or the compiler turns the loop into a call of memcpy, which has ways of its own
  }
}

void triad(const float* a, const float* b, float* to, Dim n) {
  const simd::Vec half = simd::broadcast(0.5f);
  for (Dim at = 0; at < n; at += kSums * simd::kWidth)
#pragma GCC unroll 8
    for (int i = 0; i < kSums; ++i) {
      const Dim j = at + i * simd::kWidth;
      simd::store(to + j, simd::fma(half, simd::load(b + j), simd::load(a + j)));
    }
}

}  // namespace
}  // namespace convbwd::support

extern "C" {
extern const convbwd::support::PeakLoops CONVBWD_PEAK_LOOPS;
constinit const convbwd::support::PeakLoops CONVBWD_PEAK_LOOPS = {
    .isa = convbwd::Isa::CONVBWD_ISA,
    .flops_per_round = 2.0 * convbwd::support::kChains * convbwd::simd::kWidth,
    .multiply_add = convbwd::support::multiply_add,
    .read = convbwd::support::read,
    .copy = convbwd::support::copy,
    .triad = convbwd::support::triad,
};
}
