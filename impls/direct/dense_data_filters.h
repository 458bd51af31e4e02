// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "core/phases.h"
#include "direct/dense_layout.h"

namespace convbwd::direct {

/// The image positions of one phase of rows and one of columns. Their filters begin at `w` in those of a group.
struct Lattice {
  Phase row, column;
  Dim w;

  Dim taps() const { return row.taps * column.taps; }
};

/// The filters of the dense data gradient, as its tiles read them: of each group, lattice by lattice; with two vectors
/// of channels in a block
///
///   w[channel block][t][u][k][2 * kLanes c]      t = 0, u = 0:  k0: c0 ... | k1: c0 ... | ...
class DataFilters {
 public:
  /// `blocks`: vectors of channels of a group, as tiles take them.
  DataFilters(const Problem& problem, Parts blocks);

  const std::vector<Lattice>& lattices() const { return lattices_; }
  Dim group_floats() const { return group_floats_; }
  /// From a tap to the next, for `vectors` vectors of channels.
  Dim tap_floats(Dim vectors) const { return K_ * vectors * kLanes; }

  void pack(View4<const float> w, float* packed, int threads) const;

 private:
  Dim G_, K_;  // K of one group
  Parts blocks_;
  std::vector<Lattice> lattices_;
  Dim group_floats_ = 0;
};

}  // namespace convbwd::direct
