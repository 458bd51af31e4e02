// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "core/registry.h"
#include "race/options.h"

namespace convbwd::race {

/// One fair race: a layer's pass under fixed conditions, all contenders interleaved in one process.
struct Cell {
  std::string workload, layer;  // escaped for use in names
  Dim count = 1;                // how often the layer occurs in its network
  Problem problem;
  Pass pass = Pass::data;
  Layout layout = Layout::native;
  Cache cache = Cache::warm;
  int threads = 1;
  Isa cap = Isa::baseline;
};

/// A row of the cell. One that cannot run is entered with the reason instead of a time.
struct Entrant {
  const Implementation* row = nullptr;  // null: not built
  std::string title;                    // name:isa
  std::string reason;                   // empty, or the error message of its entry ("skip: ...", "failed: ...")
};

/// Cells in the order they are run: workload, layer, then pass, layout, cache, threads and cap.
std::vector<Cell> cells_of(const Options& options);

/// Every implementation of the list, in its order: at the highest instruction set within the cap, or with the reason
/// why it cannot take part.
std::vector<Entrant> entrants_of(const Cell& cell, const Options& options);

/// pass/workload:layer/impl:isa/layout/cache/threads:N
std::string benchmark_name(const Cell& cell, const Entrant& entrant);

}  // namespace convbwd::race
