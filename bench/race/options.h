// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/isa.h"
#include "core/problem.h"
#include "core/tensor.h"

namespace convbwd::race {

enum class Cache { warm, cold };
std::string_view name(Cache cache);

/// What the command line of convbwd_bench asks for, beyond Google Benchmark's own flags.
struct Options {
  std::vector<std::string> workloads, problems, layers;
  std::vector<std::string> implementations;  // "name" or "name:isa"; empty: all
  std::vector<Isa> caps;
  std::vector<Pass> passes;
  std::vector<Layout> layouts;
  std::vector<Cache> caches;
  std::vector<int> threads;
  Dim batch = 0;            // 0: as the workload says
  int rounds = 1;           // at least this many shuffled passes over the contenders of a cell
  double cell_seconds = 0;  // a cell's, proofs included: rounds go on while there is time
  double row_seconds = 0;   // rows predicted to take longer than this for one execution are skipped; 0: none are
  std::map<std::string, std::string> excluded;  // "name:isa" -> the error message of its entry
  std::string events;
  std::string out, out_format = "json";
  std::string filter = ".";
  std::uint64_t seed = 1;
  bool list = false;
  bool stages = false;  // how long each stage of a plan takes is measured too, outside the race
  bool console = true;  // Google Benchmark shows lines for people, not JSON or CSV
};

/// Takes our flags out of argv and leaves Google Benchmark's, with our defaults where the user gave none. Prints help
/// or a one-line complaint and exits (0, or 2) by itself.
Options parse_options(int& argc, char**& argv);

}  // namespace convbwd::race
