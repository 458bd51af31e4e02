// SPDX-License-Identifier: Apache-2.0
#include "race/cell.h"

#include <algorithm>

#include "support/selection.h"
#include "support/workloads.h"

namespace convbwd::race {

using support::names_row;

namespace {

/// The row that stands for an implementation under a cap: the best that runs, or the instruction set asked for by name.
const Implementation* representative(std::string_view name, const Cell& cell, const Options& options) {
  for (const Implementation* row : implementations_named(name))
    if (std::find(options.implementations.begin(), options.implementations.end(), title(*row)) !=
        options.implementations.end())
      return row;
  if (const Implementation* best = best_within(name, cell.cap)) return best;
  return implementations_named(name).front();
}

std::string reason_against(const Implementation& row, const Cell& cell, const Options& options) {
  if (const auto excluded = options.excluded.find(title(row)); excluded != options.excluded.end())
    return excluded->second;
  const Support support = takes_part(row, cell.problem, cell.pass, {cell.cap, options.caps.front()});
  return support ? "" : "skip: " + support.reason;
}

}  // namespace

std::vector<Cell> cells_of(const Options& options) {
  std::vector<Cell> cells;
  for (const Workload& workload : support::workloads_or_exit(options.workloads, options.problems, options.batch))
    for (const Layer& layer : workload.layers) {
      if (!options.layers.empty() &&
          std::find(options.layers.begin(), options.layers.end(), layer.name) == options.layers.end())
        continue;
      for (Pass pass : options.passes)
        for (Layout layout : options.layouts)
          for (Cache cache : options.caches)
            for (int threads : options.threads)
              for (Isa cap : options.caps)
                cells.push_back(
                    {workload.name, layer.name, layer.count, layer.problem, pass, layout, cache, threads, cap});
    }
  return cells;
}

std::vector<Entrant> entrants_of(const Cell& cell, const Options& options) {
  std::vector<Entrant> entrants;
  for (const Listed& entry : listed()) {
    if (!entry.rows) {
      const std::string full = std::string(entry.folder) + ":" + std::string(name(entry.isa));
      if (names_row(options.implementations, entry.folder, full))
        entrants.push_back({nullptr, full, "skip: not built: " + std::string(entry.not_built)});
      continue;
    }
    for (std::size_t i = 0; i < entry.rows->count; ++i) {
      const Implementation* row = representative(entry.rows->first[i].name, cell, options);
      const std::string full = title(*row);
      const bool entered = std::any_of(entrants.begin(), entrants.end(),
                                       [&](const Entrant& other) { return other.row && other.row->name == row->name; });
      if (!entered && names_row(options.implementations, row->name, full))
        entrants.push_back({row, full, reason_against(*row, cell, options)});
    }
  }
  return entrants;
}

std::string benchmark_name(const Cell& cell, const Entrant& entrant) {
  std::string text(name(cell.pass));
  text += "/" + cell.workload + ":" + cell.layer + "/" + entrant.title + "/";
  text += std::string(name(cell.layout)) + "/" + std::string(name(cell.cache)) + "/threads:";
  return text + std::to_string(cell.threads);
}

}  // namespace convbwd::race
