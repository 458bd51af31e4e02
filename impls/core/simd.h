// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#include "core/problem.h"

// A vector of floats as wide as the instruction set this file is compiled for, over raw intrinsics. It is the only
// place that spells AVX-512 or NEON. Everything is one instruction, or close to it; nothing here chooses an algorithm.
namespace convbwd::simd {

#if defined(CONVBWD_SIXTEEN_LANES)  // as the compiler lowers them: proofs without AVX-512
inline constexpr Dim kWidth = 16;
inline constexpr int kRegisters = 32;
typedef float Native __attribute__((vector_size(64)));
#elif defined(__AVX512F__)
inline constexpr Dim kWidth = 16;
inline constexpr int kRegisters = 32;
using Native = __m512;
#elif defined(__AVX2__)
inline constexpr Dim kWidth = 8;
inline constexpr int kRegisters = 16;
using Native = __m256;
#elif defined(__x86_64__)
inline constexpr Dim kWidth = 4;
inline constexpr int kRegisters = 16;
using Native = __m128;
#elif defined(__aarch64__)
inline constexpr Dim kWidth = 4;
inline constexpr int kRegisters = 32;
using Native = float32x4_t;
#endif

struct Vec {
  Native v;
};

#if defined(__AVX512F__) && !defined(CONVBWD_SIXTEEN_LANES)

inline Vec zero() { return {_mm512_setzero_ps()}; }
inline Vec broadcast(float a) { return {_mm512_set1_ps(a)}; }
inline Vec load(const float* p) { return {_mm512_loadu_ps(p)}; }
inline void store(float* p, Vec a) { _mm512_storeu_ps(p, a.v); }
/// The first n lanes, 0 <= n <= kWidth; the others are 0 (not written). Memory beyond n is not touched.
inline Vec load(const float* p, Dim n) { return {_mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << n) - 1), p)}; }
inline void store(float* p, Vec a, Dim n) { _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << n) - 1), a.v); }
inline Vec operator+(Vec a, Vec b) { return {_mm512_add_ps(a.v, b.v)}; }
inline Vec operator-(Vec a, Vec b) { return {_mm512_sub_ps(a.v, b.v)}; }
inline Vec operator*(Vec a, Vec b) { return {_mm512_mul_ps(a.v, b.v)}; }
/// a * b + c, rounded once where the instruction set can.
inline Vec fma(Vec a, Vec b, Vec c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
inline float sum(Vec a) { return _mm512_reduce_add_ps(a.v); }

#elif defined(__AVX2__) && !defined(CONVBWD_SIXTEEN_LANES)

/// All ones in the first n lanes.
inline __m256i first_lanes(Dim n) {
  alignas(32) static constexpr std::int32_t kMasks[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(kMasks + 8 - n));
}

inline Vec zero() { return {_mm256_setzero_ps()}; }
inline Vec broadcast(float a) { return {_mm256_set1_ps(a)}; }
inline Vec load(const float* p) { return {_mm256_loadu_ps(p)}; }
inline void store(float* p, Vec a) { _mm256_storeu_ps(p, a.v); }
inline Vec load(const float* p, Dim n) { return {_mm256_maskload_ps(p, first_lanes(n))}; }
inline void store(float* p, Vec a, Dim n) { _mm256_maskstore_ps(p, first_lanes(n), a.v); }
inline Vec operator+(Vec a, Vec b) { return {_mm256_add_ps(a.v, b.v)}; }
inline Vec operator-(Vec a, Vec b) { return {_mm256_sub_ps(a.v, b.v)}; }
inline Vec operator*(Vec a, Vec b) { return {_mm256_mul_ps(a.v, b.v)}; }
inline Vec fma(Vec a, Vec b, Vec c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }
inline float sum(Vec a) {
  const __m128 half = _mm_add_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
  const __m128 pair = _mm_add_ps(half, _mm_movehl_ps(half, half));
  return _mm_cvtss_f32(_mm_add_ss(pair, _mm_movehdup_ps(pair)));
}

#else  // lowered, or four lanes of SSE2 or NEON: partial accesses go through the stack

#if defined(CONVBWD_SIXTEEN_LANES)
typedef float Unaligned __attribute__((vector_size(64), aligned(4), may_alias));
inline Vec zero() { return {Native{}}; }
inline Vec broadcast(float a) { return {a - Native{}}; }
inline Vec load(const float* p) { return {*reinterpret_cast<const Unaligned*>(p)}; }
inline void store(float* p, Vec a) { *reinterpret_cast<Unaligned*>(p) = a.v; }
inline Vec operator+(Vec a, Vec b) { return {a.v + b.v}; }
inline Vec operator-(Vec a, Vec b) { return {a.v - b.v}; }
inline Vec operator*(Vec a, Vec b) { return {a.v * b.v}; }
inline Vec fma(Vec a, Vec b, Vec c) { return {a.v * b.v + c.v}; }
#elif defined(__x86_64__)
inline Vec zero() { return {_mm_setzero_ps()}; }
inline Vec broadcast(float a) { return {_mm_set1_ps(a)}; }
inline Vec load(const float* p) { return {_mm_loadu_ps(p)}; }
inline void store(float* p, Vec a) { _mm_storeu_ps(p, a.v); }
inline Vec operator+(Vec a, Vec b) { return {_mm_add_ps(a.v, b.v)}; }
inline Vec operator-(Vec a, Vec b) { return {_mm_sub_ps(a.v, b.v)}; }
inline Vec operator*(Vec a, Vec b) { return {_mm_mul_ps(a.v, b.v)}; }
inline Vec fma(Vec a, Vec b, Vec c) { return a * b + c; }
#else
inline Vec zero() { return {vdupq_n_f32(0)}; }
inline Vec broadcast(float a) { return {vdupq_n_f32(a)}; }
inline Vec load(const float* p) { return {vld1q_f32(p)}; }
inline void store(float* p, Vec a) { vst1q_f32(p, a.v); }
inline Vec operator+(Vec a, Vec b) { return {vaddq_f32(a.v, b.v)}; }
inline Vec operator-(Vec a, Vec b) { return {vsubq_f32(a.v, b.v)}; }
inline Vec operator*(Vec a, Vec b) { return {vmulq_f32(a.v, b.v)}; }
inline Vec fma(Vec a, Vec b, Vec c) { return {vfmaq_f32(c.v, a.v, b.v)}; }
#endif

inline Vec load(const float* p, Dim n) {
  float lanes[kWidth] = {};
  for (Dim i = 0; i < n; ++i) lanes[i] = p[i];
  return load(lanes);
}
inline void store(float* p, Vec a, Dim n) {
  float lanes[kWidth];
  store(lanes, a);
  for (Dim i = 0; i < n; ++i) p[i] = lanes[i];
}
inline float sum(Vec a) {
  float lanes[kWidth];
  store(lanes, a);
  for (Dim half = kWidth / 2; half > 0; half /= 2)
    for (Dim i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  return lanes[0];
}

#endif

/// The same vector, in a register. What is loaded once and used by several FMAs needs this: gcc 12 would rather give
/// each of them a memory operand, which loads it again.
inline Vec held(Vec a) {
#if defined(CONVBWD_SIXTEEN_LANES)
#elif defined(__x86_64__)
  asm("" : "+v"(a.v));
#else
  asm("" : "+w"(a.v));
#endif
  return a;
}

}  // namespace convbwd::simd
