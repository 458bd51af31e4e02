// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <string>
#include <vector>

#include "race/cell.h"
#include "race/collector.h"
#include "race/document.h"
#include "race/events.h"

namespace convbwd::race {

/// One contender of a cell as Google Benchmark knows it.
struct Entry {
  std::string name;
  std::size_t index;  // among the cell's entrants
};

/// The contenders of a cell that pass the filter, in the order of the list.
std::vector<Entry> entries_of(const Cell& cell, const Options& options);

/// Races one cell: plans and proves its contenders, then times them in rounds between two probes of the machine; once
/// more if the probes disagree. Returns what is known of the cell. Ends early once `interrupted`.
Facts run_cell(const Cell& cell, const std::vector<Entry>& entries, const Options& options, Collector& collector,
               Events& events, const std::atomic<bool>& interrupted);

}  // namespace convbwd::race
