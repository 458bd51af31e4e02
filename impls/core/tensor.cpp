// SPDX-License-Identifier: Apache-2.0
#include "core/tensor.h"

namespace convbwd {

std::string_view name(Layout layout) {
  switch (layout) {
    case Layout::native:
      return "native";
    case Layout::nchw:
      return "nchw";
    case Layout::nhwc:
      break;
  }
  return "nhwc";
}

std::array<Dim, 4> plain_strides(const std::array<Dim, 4>& extent, Layout layout) {
  const auto [a, b, c, d] = extent;
  if (layout == Layout::nhwc) return {b * c * d, 1, d * b, b};
  return {b * c * d, c * d, d, 1};
}

}  // namespace convbwd
