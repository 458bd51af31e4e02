// SPDX-License-Identifier: Apache-2.0
#include "winograd/packed_plan.h"

namespace convbwd::winograd {
namespace {

bool is_filter(Role role) { return role == Role::w || role == Role::dw; }

}  // namespace

std::size_t PackedPlan::packed_bytes(Role role) const {
  const Dim floats = is_filter(role) ? filter_layout().floats() : image_layout(role).floats();
  return static_cast<std::size_t>(floats) * sizeof(float);
}

void PackedPlan::pack(Role role, View4<const float> plain, std::byte* packed) const {
  float* const to = reinterpret_cast<float*>(packed);
  if (is_filter(role))
    pack_filters(filter_layout(), plain, to, threads_);
  else
    pack_image(image_layout(role), plain, to, threads_);
}

void PackedPlan::unpack(Role role, const std::byte* packed, View4<float> plain) const {
  const float* const from = reinterpret_cast<const float*>(packed);
  if (is_filter(role))
    unpack_filters(filter_layout(), from, plain, threads_);
  else
    unpack_image(image_layout(role), from, plain, threads_);
}

}  // namespace convbwd::winograd
