// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/channel_vectors.h"
#include "core/implementation.h"

namespace convbwd::direct {

/// Images or filters with a lane a group: `members` planes of a block of kWidth groups follow one another. The members
/// of images are the channels of a group, those of filters are the pairs (filter of a group, channel of a group). With
/// kWidth = 4, 6 groups of 2 channels and 2 x 2 pixels:
///
///   block 0, channel 0 of groups 0-3:  h0w0 g0-3 | h0w1 g0-3 | h1w0 g0-3 | h1w1 g0-3     block 0, channel 1: ...
///   block 1, channel 0 of groups 4, 5: h0w0 g4 g5 0 0 | h0w1 g4 g5 0 0 | ...             block 1, channel 1: ...
struct LaneLayout {
  Dim outer, groups, members, pixels;

  Dim plane() const { return pixels * simd::kWidth; }
  Dim block() const { return members * plane(); }
  Dim entry() const { return simd::blocks_of(groups) * block(); }
  std::size_t bytes() const { return static_cast<std::size_t>(outer * entry()) * sizeof(float); }
};

/// What both passes across groups have in common: the layout of their operands.
class AcrossGroups : public Plan {
 public:
  AcrossGroups(const Problem& problem, int threads) : problem_(problem), threads_(threads) {}

  std::size_t packed_bytes(Role role) const override { return layout(role).bytes(); }
  void pack(Role role, View4<const float> plain, std::byte* packed) const override;
  void unpack(Role role, const std::byte* packed, View4<float> plain) const override;

 protected:
  LaneLayout layout(Role role) const;
  Dim group_blocks() const { return simd::blocks_of(problem_.G); }

  Problem problem_;
  int threads_;

 private:
  /// visit(plane, first float in the packed tensor, strides there) for each member of a plain tensor: the plane has the
  /// groups in its second dimension.
  template <class T, class Visit>
  void for_each_member(Role role, View4<T> plain, Visit visit) const;
};

}  // namespace convbwd::direct
