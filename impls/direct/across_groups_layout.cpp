// SPDX-License-Identifier: Apache-2.0
#include "direct/across_groups_layout.h"

namespace convbwd::direct {
namespace {

bool is_filter(Role role) { return role == Role::w || role == Role::dw; }

/// Filter k of every group: its channels in the first dimension, the groups in the second.
template <class T>
View4<T> filters_of(View4<T> plain, Dim k, Dim groups, Dim filters) {
  return {plain.data + k * plain.stride[0],
          {plain.extent[1], groups, plain.extent[2], plain.extent[3]},
          {plain.stride[1], filters * plain.stride[0], plain.stride[2], plain.stride[3]}};
}

}  // namespace

LaneLayout AcrossGroups::layout(Role role) const {
  const Dim C = problem_.C_per_group(), K = problem_.K_per_group();
  if (is_filter(role)) return {1, problem_.G, K * C, problem_.R * problem_.S};
  return role == Role::dy ? LaneLayout{problem_.N, problem_.G, K, problem_.P * problem_.Q}
                          : LaneLayout{problem_.N, problem_.G, C, problem_.H * problem_.W};
}

template <class T, class Visit>
void AcrossGroups::for_each_member(Role role, View4<T> plain, Visit visit) const {
  const LaneLayout to = layout(role);
  const Dim G = problem_.G, C = problem_.C_per_group(), K = problem_.K_per_group();
  if (is_filter(role)) {
    for (Dim k = 0; k < K; ++k)
      visit(filters_of(plain, k, G, K), k * C * to.plane(), simd::BlockStrides{to.plane(), to.block()});
  } else {
    for (Dim m = 0; m < to.members; ++m)
      visit(simd::channels_of(plain, m, G, to.members), m * to.plane(), simd::BlockStrides{to.entry(), to.block()});
  }
}

void AcrossGroups::pack(Role role, View4<const float> plain, std::byte* packed) const {
  for_each_member(role, plain, [&](View4<const float> plane, Dim first, simd::BlockStrides strides) {
    simd::pack_channels(plane, reinterpret_cast<float*>(packed) + first, strides, threads_);
  });
}

void AcrossGroups::unpack(Role role, const std::byte* packed, View4<float> plain) const {
  for_each_member(role, plain, [&](View4<float> plane, Dim first, simd::BlockStrides strides) {
    simd::unpack_channels(reinterpret_cast<const float*>(packed) + first, plane, strides, threads_);
  });
}

}  // namespace convbwd::direct
