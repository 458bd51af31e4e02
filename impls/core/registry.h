// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/implementation.h"

namespace convbwd {

/// A line of the list in impls/CMakeLists.txt for one instruction set: its rows, or why it was not built.
struct Listed {
  std::string_view folder;
  Isa isa;                     // meaningless where nothing was built
  const Rows* rows;            // null: not built
  std::string_view not_built;  // the reason
};

/// Everything the build was asked for, in the order of the list.
std::span<const Listed> listed();

/// Every row that was built, in the order of the list.
std::vector<const Implementation*> implementations();

/// The rows of this name, lowest instruction set first; empty if there is none.
std::vector<const Implementation*> implementations_named(std::string_view name);

/// Names of the built implementations, in the order of the list, each once.
std::vector<std::string_view> implementation_names();

/// The row of this name with the highest instruction set that is within the cap and that this CPU runs, or null.
const Implementation* best_within(std::string_view name, Isa cap);

/// Whether this CPU runs the row.
Support runs_here(const Implementation& row);

/// Instruction sets that rows are held to: those compiled for one, and libraries that dispatch by themselves, once per
/// process.
struct Caps {
  Isa row, process;
};

/// Whether the row can compute this pass here and under these caps.
Support takes_part(const Implementation& row, const Problem& problem, Pass pass, const Caps& caps);

/// `name:isa`, as rows are called in every table, flag and plot.
std::string title(const Implementation& implementation);

}  // namespace convbwd
