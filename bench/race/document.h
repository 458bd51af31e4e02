// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "race/cell.h"
#include "support/text.h"

namespace convbwd::race {

using support::Facts;

/// What the cell is: pass, workload, layer, problem, layout, cache, threads, multiply-adds.
Facts facts_of(const Cell& cell, const Options& options);

/// Google Benchmark's own JSON document of these runs, with our facts in its context and no host name. Where there are
/// several cells, the facts of each are an entry of the list "cells" in the context.
std::string document(const std::vector<benchmark::BenchmarkReporter::Run>& runs, const Facts& common,
                     const std::vector<Facts>& cells);

}  // namespace convbwd::race
