// SPDX-License-Identifier: Apache-2.0
//
// convbwd_bench: one Google Benchmark entry a contender and cell, named
//     pass/workload:layer/impl:isa/layout/cache/threads:N
// A cell's contenders are planned and proved first, then timed in rounds: each round is one shuffled pass over all of
// them, so that whatever the machine does meanwhile, it does to everybody.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <iostream>

#include "race/cell.h"
#include "race/collector.h"
#include "race/document.h"
#include "race/events.h"
#include "race/rounds.h"
#include "support/machine.h"
#include "support/refuse.h"
#include "support/threads.h"
#include "support/whole_file.h"

namespace convbwd::race {
namespace {

std::atomic<bool> interrupted = false;
static_assert(std::atomic<bool>::is_always_lock_free);  // a signal handler may set it
void on_interrupt(int) {
  interrupted = true;
  std::signal(SIGINT, SIG_DFL);  // a second Ctrl-C does not wait
}

void write_document(const std::string& file, const std::string& text) {
  const support::Written written = support::write_whole(file, {text});
  if (!written.error.empty())
    support::refuse("--benchmark_out=" + file + " " + written.error,
                    written.disk_full ? support::kFailed : support::kUsage);
}

/// Whether all output reached its destination.
bool said_it_all() {
  std::cout.flush();
  return static_cast<bool>(std::cout);
}

int run(int argc, char** argv) {
  char** const whole_command = argv;
  const Options options = parse_options(argc, argv);
  support::set_environment_and_reexec(whole_command, options.caps.front());
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return support::kUsage;

  const std::vector<Cell> cells = cells_of(options);
  if (options.workloads.empty() && options.problems.empty()) support::refuse("name a --workload or a --problem");
  if (cells.empty()) support::refuse("no layer is left of --workload and --layer", support::kNotSupported);
  std::vector<std::vector<Entry>> entries;
  for (const Cell& cell : cells) entries.push_back(entries_of(cell, options));
  if (std::all_of(entries.begin(), entries.end(), [](const auto& of_cell) { return of_cell.empty(); }))
    support::refuse("nothing matched --impl and --benchmark_filter=" + options.filter, support::kNotSupported);
  if (options.list) {
    for (const auto& of_cell : entries)
      for (const Entry& entry : of_cell) std::cout << entry.name << "\n";
    return said_it_all() ? support::kGood : support::kFailed;
  }
  if (const std::string reason = options.out.empty() ? "" : support::reason_not_to_write(options.out); !reason.empty())
    support::refuse("--benchmark_out=" + options.out + " " + reason);

  if (support::openmp_runtimes().size() > 1)
    std::cerr << "convbwd_bench: several OpenMP runtimes are loaded, see openmp_runtimes in the results: times of "
                 "threaded rows are disturbed\n";
  std::size_t width = 0;
  for (const auto& of_cell : entries)
    for (const Entry& entry : of_cell) width = std::max(width, entry.name.size() + sizeof "/manual_time");
  Events events(options.events);
  Collector collector(*benchmark::CreateDefaultDisplayReporter(), width, options.console);
  std::signal(SIGINT, on_interrupt);
  std::vector<Facts> facts;
  for (std::size_t i = 0; i < cells.size() && !interrupted; ++i)
    if (!entries[i].empty()) facts.push_back(run_cell(cells[i], entries[i], options, collector, events, interrupted));
  collector.finish();
  if (!options.out.empty()) write_document(options.out, document(collector.runs(), support::all_facts(), facts));
  events.cell(interrupted ? "interrupted" : "done");
  benchmark::Shutdown();
  if (interrupted) return support::kInterrupted;
  if (collector.any_wrong()) return support::kWrong;
  if (collector.any_failed() || !said_it_all()) return support::kFailed;
  return collector.any_timed() ? support::kGood : support::kNotSupported;
}

}  // namespace
}  // namespace convbwd::race

int main(int argc, char** argv) {
  try {
    return convbwd::race::run(argc, argv);
  } catch (const std::bad_alloc&) {
    convbwd::support::refuse("out of memory", convbwd::support::kFailed);
  } catch (const std::exception& error) {
    convbwd::support::refuse(error.what(), convbwd::support::kFailed);
  }
}
