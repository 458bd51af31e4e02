// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <string_view>

#include "core/problem.h"

namespace convbwd {

/// How tensors are handed to a plan. `native`: inputs and output already in the plan's own packed form (a plan without
/// one takes nchw). `nchw`, `nhwc`: plain tensors, and whatever packing a plan wants it does inside execute().
/// In nhwc, x and dy are N,H,W,C in memory and w is K,R,S,C/G; indices keep their order, only strides differ.
enum class Layout { native, nchw, nhwc };

std::string_view name(Layout layout);

/// A 4-D tensor that somebody else owns: `(n,c,h,w)` or `(k,c,r,s)` indices, strides in elements.
template <class T>
struct View4 {
  T* data = nullptr;
  std::array<Dim, 4> extent{};
  std::array<Dim, 4> stride{};

  T& operator()(Dim a, Dim b, Dim c, Dim d) const {
    return data[a * stride[0] + b * stride[1] + c * stride[2] + d * stride[3]];
  }
  operator View4<const T>() const { return {data, extent, stride}; }
  Dim size() const { return extent[0] * extent[1] * extent[2] * extent[3]; }
};

/// Strides of a plain tensor of this shape: nchw (also for native), or channels last.
std::array<Dim, 4> plain_strides(const std::array<Dim, 4>& extent, Layout layout);

/// View of a plain tensor of the problem at `data`.
template <class T>
View4<T> plain_view(T* data, const Problem& problem, Role role, Layout layout) {
  const auto extent = problem.shape(role);
  return {data, extent, plain_strides(extent, layout)};
}

}  // namespace convbwd
