// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <string>

#include "core/implementation.h"
#include "winograd/layout.h"
#include "winograd/stages.h"

namespace convbwd::winograd {

/// What the plans of both passes have in common: tensors in the layouts of layout.h.
class PackedPlan : public Plan {
 public:
  std::size_t packed_bytes(Role role) const override;
  void pack(Role role, View4<const float> plain, std::byte* packed) const override;
  void unpack(Role role, const std::byte* packed, View4<float> plain) const override;

 protected:
  PackedPlan(const Problem& problem, int threads) : problem_(problem), threads_(threads) {}

  ImageLayout image_layout(Role role) const {
    const auto [N, channels, H, W] = problem_.shape(role);
    return {N, channels, H, W};
  }
  FilterLayout filter_layout() const { return {problem_.K, problem_.C, problem_.R * problem_.S}; }

  static float* tensor(const Operands& operands, Role role) {
    return reinterpret_cast<float*>(operands.packed_at(role));
  }

  const Problem problem_;
  const int threads_;
};

}  // namespace convbwd::winograd
