// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/problem.h"

// What a compiler vectorises by itself: two operations on a few lines of equal length at a time, written so that every
// value loaded is used for several multiply-adds. There are no intrinsics and no relaxed arithmetic here; the only
// licence given is `omp simd`, which says that lines do not overlap and, for sums, in what order they may be taken.
namespace convbwd::loops {

/// Calls body(size, i) for i = begin, begin + size, ... while whole blocks fit, then body(1, i) for what is left; the
/// size is passed as a type, so that loops over a block are unrolled.
template <int size, class Body>
void in_blocks(Dim begin, Dim end, const Body& body) {
  Dim i = begin;
  for (; i + size <= end; i += size) body.template operator()<size>(i);
  for (; i < end; ++i) body.template operator()<1>(i);
}

/// out[o][j] += sum over i of  factor[o][i] * in[i][j]   for j < length.
/// With 2 lines out and 4 in, a step of 8 multiply-adds costs 6 loads and 2 stores; 8 factors, 4 inputs and 2 sums fill
/// 14 of 16 registers.
template <int outs, int ins>
void add_lines(Dim length, const float (&factor)[outs][ins], const float* const (&in)[ins], Dim in_stride,
               float* const (&out)[outs], Dim out_stride) {
  const auto step = [&](Dim from, Dim to) {
    for (int o = 0; o < outs; ++o) {
      float sum = out[o][to];
      for (int i = 0; i < ins; ++i) sum += factor[o][i] * in[i][from];
      out[o][to] = sum;
    }
  };
  if (in_stride == 1 && out_stride == 1) {
#pragma omp simd
    for (Dim j = 0; j < length; ++j) step(j, j);
  } else {
    for (Dim j = 0; j < length; ++j) step(j * in_stride, j * out_stride);
  }
}

/// The sum over j of  a[j] * b[j].
inline float dot(Dim length, const float* a, Dim a_stride, const float* b, Dim b_stride) {
  float sum = 0;
  if (a_stride == 1 && b_stride == 1) {
#pragma omp simd reduction(+ : sum)
    for (Dim j = 0; j < length; ++j) sum += a[j] * b[j];
  } else {
    for (Dim j = 0; j < length; ++j) sum += a[j * a_stride] * b[j * b_stride];
  }
  return sum;
}

/// sum[i][m] += the sum over j of  a[i][j] * b[m][j]:  8 multiply-adds for 6 loads. The sums have a name each because
/// gcc 12 vectorises a reduction of scalars, and gives up on one of arrays.
inline void add_dots(Dim length, const float* const (&a)[2], Dim a_stride, const float* const (&b)[4], Dim b_stride,
                     float (&sum)[2][4]) {
  if (a_stride != 1 || b_stride != 1) {
    for (int i = 0; i < 2; ++i)
      for (int m = 0; m < 4; ++m) sum[i][m] += dot(length, a[i], a_stride, b[m], b_stride);
    return;
  }
  const float *a0 = a[0], *a1 = a[1], *b0 = b[0], *b1 = b[1], *b2 = b[2], *b3 = b[3];
  float s00 = 0, s01 = 0, s02 = 0, s03 = 0, s10 = 0, s11 = 0, s12 = 0, s13 = 0;
#pragma omp simd reduction(+ : s00, s01, s02, s03, s10, s11, s12, s13)
  for (Dim j = 0; j < length; ++j) {
    s00 += a0[j] * b0[j], s01 += a0[j] * b1[j], s02 += a0[j] * b2[j], s03 += a0[j] * b3[j];
    s10 += a1[j] * b0[j], s11 += a1[j] * b1[j], s12 += a1[j] * b2[j], s13 += a1[j] * b3[j];
  }
  sum[0][0] += s00, sum[0][1] += s01, sum[0][2] += s02, sum[0][3] += s03;
  sum[1][0] += s10, sum[1][1] += s11, sum[1][2] += s12, sum[1][3] += s13;
}

}  // namespace convbwd::loops
