// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>

#include "core/problem.h"
#include "core/tensor.h"

namespace convbwd {

// The two gradients exactly as they are defined:
//
//   dx[n,c,h,w] = sum over r,s,k of  dy[n,k,p,q] * w[k,c,r,s]   where  h_of(p,r) = h  and  w_of(q,s) = w
//   dw[k,c,r,s] = sum over n,p,q of  dy[n,k,p,q] * x[n,c,h,w]   where  h = h_of(p,r), w = w_of(q,s) lie in the image
//
// with c inside the group of k. Nothing here is clever: this is what every other implementation is compared with.
// `T` is what the tensors hold. `Sum` is anything with `sum.add(a, b)` (adds the product a * b): a float row sums in
// double, the reference also sums |a * b|, and a symbolic sum writes the derivation down.

/// Sum of products in double.
struct DoubleSum {
  double value = 0;
  template <class T>
  void add(T a, T b) {
    value += static_cast<double>(a) * static_cast<double>(b);
  }
};

/// Row p of the output with h_of(p, r) == h, or -1. Likewise for columns.
inline Dim row_reading(const Problem& problem, Dim h, Dim r) {
  const Dim reach = h + problem.pad_top - r * problem.dilation_h;
  if (reach < 0 || reach % problem.stride_h != 0 || reach / problem.stride_h >= problem.P) return -1;
  return reach / problem.stride_h;
}
inline Dim column_reading(const Problem& problem, Dim w, Dim s) {
  const Dim reach = w + problem.pad_left - s * problem.dilation_w;
  if (reach < 0 || reach % problem.stride_w != 0 || reach / problem.stride_w >= problem.Q) return -1;
  return reach / problem.stride_w;
}

template <class Sum, class T>
Sum data_gradient_at(const Problem& problem, View4<const T> dy, View4<const T> w, Dim n, Dim c, Dim h, Dim wide) {
  Sum sum;
  const Dim group = c / problem.C_per_group();
  const Dim k_begin = group * problem.K_per_group(), k_end = k_begin + problem.K_per_group();
  for (Dim r = 0; r < problem.R; ++r) {
    const Dim p = row_reading(problem, h, r);
    if (p < 0) continue;
    for (Dim s = 0; s < problem.S; ++s) {
      const Dim q = column_reading(problem, wide, s);
      if (q < 0) continue;
      for (Dim k = k_begin; k < k_end; ++k) sum.add(dy(n, k, p, q), w(k, c % problem.C_per_group(), r, s));
    }
  }
  return sum;
}

/// `c` counts inside the group of k, as in the shape of dw.
template <class Sum, class T>
Sum weight_gradient_at(const Problem& problem, View4<const T> dy, View4<const T> x, Dim k, Dim c, Dim r, Dim s) {
  Sum sum;
  const Dim channel = k / problem.K_per_group() * problem.C_per_group() + c;
  for (Dim n = 0; n < problem.N; ++n)
    for (Dim p = 0; p < problem.P; ++p) {
      const Dim h = problem.h_of(p, r);
      if (h < 0 || h >= problem.H) continue;
      for (Dim q = 0; q < problem.Q; ++q) {
        const Dim wide = problem.w_of(q, s);
        if (wide >= 0 && wide < problem.W) sum.add(dy(n, k, p, q), x(n, channel, h, wide));
      }
    }
  return sum;
}

/// One element of the pass's output; `other` is w for the data gradient and x for the weight gradient.
template <class Sum, class T>
Sum gradient_at(const Problem& problem, Pass pass, View4<const T> dy, View4<const T> other,
                const std::array<Dim, 4>& at) {
  return pass == Pass::data ? data_gradient_at<Sum>(problem, dy, other, at[0], at[1], at[2], at[3])
                            : weight_gradient_at<Sum>(problem, dy, other, at[0], at[1], at[2], at[3]);
}

/// All of them, in the order of the output's indices: visit(index, sum).
template <class Sum, class T, class Visit>
void gradient(const Problem& problem, Pass pass, View4<const T> dy, View4<const T> other, Visit visit) {
  const auto extent = problem.shape(output_of(pass));
  std::array<Dim, 4> at;
  for (at[0] = 0; at[0] < extent[0]; ++at[0])
    for (at[1] = 0; at[1] < extent[1]; ++at[1])
      for (at[2] = 0; at[2] < extent[2]; ++at[2])
        for (at[3] = 0; at[3] < extent[3]; ++at[3]) visit(at, gradient_at<Sum>(problem, pass, dy, other, at));
}

}  // namespace convbwd
