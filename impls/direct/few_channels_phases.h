// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "core/phases.h"
#include "core/tensor.h"

namespace convbwd::direct {

/// A data gradient in one sum for each phase of the image's rows and each set of phases of its columns, and what these
/// need to know of dy: planes, one for each filter, whose rows have zeros where a tap looks beyond the output. In such
/// a plane a tap of the filter is a distance, the same for all positions of the phase.
struct PhaseSums {
  /// Outputs that take the same taps of dy: the channels of some column phases, for one row phase.
  struct Sum {
    Dim w;                  // where its filters begin
    Dim outputs;            // how many
    Dim first_output;       // in the buffer of outputs
    Dim columns;            // positions in a row, at most
    std::vector<Dim> taps;  // floats from the position to what the tap sees
  };
  struct RowPhase {
    Phase phase;
    std::vector<Sum> sums;
  };

  /// A bundle is how many outputs a tile takes at most: their filters lie together.
  PhaseSums(const Problem& problem, Dim bundle);

  Dim pitch() const { return margins.size(); }
  /// Of the buffer of outputs: those of column phases with the same taps are neighbours.
  Dim output(std::size_t column_phase, Dim c) const { return slots[column_phase] * problem.C + c; }
  /// All filters in the order in which the tiles take them.
  void pack_filters(View4<const float> w, float* packed, int threads) const;

  Problem problem;
  Dim bundle;
  std::vector<RowPhase> rows;
  std::vector<Phase> columns;
  std::vector<Dim> slots;  // by column phase
  Range margins;           // columns of dy in a row of a plane: before 0 and beyond Q they are zero
  Range reach;             // position i of a row phase sees rows i + reach.begin ... i + reach.end - 1 of dy, at most
  Dim w_floats = 0;
};

}  // namespace convbwd::direct
