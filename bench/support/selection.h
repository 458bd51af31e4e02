// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "core/implementation.h"
#include "core/problem.h"

namespace convbwd::support {

// Comma-separated lists of the command line, the same in every program. What is not understood ends the program with
// one line that names the flag; a word given twice counts once.

std::vector<std::string> words_of(const std::string& list);
std::vector<Pass> passes_of(const std::string& list);
std::vector<Layout> layouts_of(const std::string& list);

/// Numbers from 1 to as many CPUs as this process may keep busy, or `all` of them.
std::vector<int> threads_of(const std::string& list);

/// `best`, `all` (highest first) or names; each runs on this CPU.
std::vector<Isa> isas_of(const std::string& list);

/// `name` or `name:isa` words, each of which is built; empty: every implementation.
std::vector<std::string> implementations_of(const std::string& list);

/// Whether such words, where there are any, name this row.
bool names_row(const std::vector<std::string>& words, std::string_view name, const std::string& title);

}  // namespace convbwd::support
