// SPDX-License-Identifier: Apache-2.0
//
// convbwd_bench: one Google Benchmark entry a contender and cell, named
//     pass/workload:layer/impl:isa/layout/cache/threads:N
// A cell's contenders are planned and proved first, then timed in rounds: each round is one shuffled pass over all of
// them, so that whatever the machine does meanwhile, it does to everybody.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <csignal>
#include <iostream>
#include <random>
#include <regex>

#include "race/cell.h"
#include "race/collector.h"
#include "race/contest.h"
#include "race/document.h"
#include "race/events.h"
#include "support/machine.h"
#include "support/peak.h"
#include "support/refuse.h"
#include "support/threads.h"
#include "support/whole_file.h"

namespace convbwd::race {
namespace {

constexpr int kMostRounds = 50;

// A row that has used up this share of its cell's time sits the later rounds out: slow rows are known well enough after
// a few samples, and the fast ones, which are close to each other, need many.
constexpr double kMostShareOfCell = 0.2;

volatile std::sig_atomic_t interrupted = 0;
void on_interrupt(int) {
  interrupted = 1;
  std::signal(SIGINT, SIG_DFL);  // a second Ctrl-C does not wait
}

/// What a running benchmark function needs to know about the moment.
struct Moment {
  Contest* contest = nullptr;
  int round = 0, sequence = 0;
};

struct Entry {
  std::string name;
  std::size_t index;        // of the contender in its contest
  double seconds_used = 0;  // in the rounds of the cell
};

/// Every contender of every cell that passes the filter.
std::vector<std::vector<Entry>> entries_of(const std::vector<Cell>& cells, const Options& options) {
  std::string pattern = options.filter;
  const bool inverted = pattern.starts_with('-');
  if (inverted) pattern.erase(0, 1);
  std::regex filter;
  try {
    filter = std::regex(pattern == "all" ? "." : pattern);
  } catch (const std::regex_error& error) {
    support::refuse("--benchmark_filter=" + options.filter + " is not a regular expression: " + error.what());
  }
  std::vector<std::vector<Entry>> entries(cells.size());
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const auto entrants = entrants_of(cells[i], options);
    for (std::size_t index = 0; index < entrants.size(); ++index) {
      const std::string name = benchmark_name(cells[i], entrants[index]);
      if (std::regex_search(name, filter) != inverted) entries[i].push_back({name, index});
    }
  }
  return entries;
}

/// Makes the contenders of one cell what Google Benchmark knows. Cells that differ only in their cap share names.
void register_entries(const std::vector<Entry>& entries, Moment& moment) {
  benchmark::ClearRegisteredBenchmarks();
  for (const Entry& entry : entries)
    benchmark::RegisterBenchmark(entry.name.c_str(),
                                 [&moment, index = entry.index](benchmark::State& state) {
                                   moment.contest->run(state, index, moment.round, moment.sequence);
                                 })
        ->UseManualTime()
        ->Unit(benchmark::kMillisecond);
}

/// The name as a regular expression that matches it alone, with what Google Benchmark appends to it.
std::string exactly(const std::string& name) {
  static const std::regex special(R"([.^$|()\[\]{}*+?\\])");
  return "^" + std::regex_replace(name, special, R"(\$&)") + "/manual_time(/|$)";
}

void run_rounds(const std::vector<Entry>& entries, const Options& options, Contest& contest, Collector& collector,
                Events& events, Moment& moment) {
  std::vector<Entry> ready;
  const std::size_t mark = collector.mark();
  collector.set_round(moment.round = 0);
  moment.sequence = 0;
  for (const Entry& entry : entries) {
    const Contender& contender = contest.contenders()[entry.index];
    if (contender.session && !contender.proof_run)
      ready.push_back(entry);
    else
      benchmark::RunSpecifiedBenchmarks(&collector, exactly(entry.name));  // one entry: a reason, or n = 1
  }
  std::mt19937_64 shuffle(options.seed);
  const double start = seconds_since_start();
  int round = 0;
  for (; round < std::max(kMostRounds, options.rounds) && !ready.empty() && !interrupted; ++round) {
    if (round >= options.rounds && seconds_since_start() - start >= options.cell_seconds) break;
    std::shuffle(ready.begin(), ready.end(), shuffle);
    collector.set_round(moment.round = round);
    moment.sequence = 0;
    bool anybody = false;
    for (Entry& entry : ready) {
      if (round >= options.rounds && entry.seconds_used > kMostShareOfCell * options.cell_seconds) continue;
      anybody = true;
      const Events::Step step(events, contest.contenders()[entry.index].entrant.title, "time", round);
      const double began = seconds_since_start();
      benchmark::RunSpecifiedBenchmarks(&collector, exactly(entry.name));
      entry.seconds_used += seconds_since_start() - began;
      ++moment.sequence;
      if (interrupted) break;
    }
    if (!anybody) break;
  }
  collector.close_rounds(mark, std::max(round, 1));
}

/// Runs one cell between two probes of the machine; once more if they disagree, and then says so.
Facts run_cell(const Cell& cell, const std::vector<Entry>& entries, const Options& options, Collector& collector,
               Events& events, Moment& moment) {
  const support::Disturbance disturbance;
  const double start = seconds_since_start();
  const std::string started = support::utc_now();
  Contest contest(cell, options, events);
  moment.contest = &contest;
  register_entries(entries, moment);
  support::pin_threads(cell.threads);
  contest.qualify();

  Facts facts = facts_of(cell, options);
  support::Probe before, after;
  std::string noisy;
  for (int attempt = 0; attempt < 2 && !interrupted; ++attempt) {
    const std::size_t mark = collector.mark();
    const support::Disturbance around_rounds;
    before = support::probe(cell.threads, cell.cap);
    contest.set_peak(before.fma_gflops);
    run_rounds(entries, options, contest, collector, events, moment);
    after = support::probe(cell.threads, cell.cap);
    noisy = support::disagreement(before, after);
    if (noisy.empty()) noisy = around_rounds.others();
    if (noisy.empty()) break;
    if (attempt == 0 && !interrupted) collector.forget_since(mark);
  }
  moment.contest = nullptr;
  const auto add = [&facts](const char* key, std::string value) { facts.emplace_back(key, std::move(value)); };
  add("fma_peak_gflops_before", std::to_string(before.fma_gflops));
  add("fma_peak_gflops_after", std::to_string(after.fma_gflops));
  add("bandwidth_gbs_before", std::to_string(before.bandwidth_gbs));
  add("bandwidth_gbs_after", std::to_string(after.bandwidth_gbs));
  add("noisy", noisy);
  add("steal_seconds", std::to_string(disturbance.steal_seconds()));
  add("involuntary_switches", std::to_string(disturbance.involuntary_switches()));
  add("pinned", support::pinning());
  add("elapsed_seconds", std::to_string(seconds_since_start() - start));
  add("started", started);
  return facts;
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
  Moment moment;
  const auto entries = entries_of(cells, options);
  if (std::all_of(entries.begin(), entries.end(), [](const auto& of_cell) { return of_cell.empty(); }))
    support::refuse("nothing matched --impl and --benchmark_filter=" + options.filter, support::kNotSupported);
  if (options.list) {
    for (const auto& of_cell : entries)
      for (const Entry& entry : of_cell) std::cout << entry.name << "\n";
    return said_it_all() ? support::kGood : support::kFailed;
  }
  if (const std::string reason = options.out.empty() ? "" : support::reason_not_to_write(options.out); !reason.empty())
    support::refuse("--benchmark_out=" + options.out + " " + reason);

  std::size_t width = 0;
  for (const auto& of_cell : entries)
    for (const Entry& entry : of_cell) width = std::max(width, entry.name.size() + sizeof "/manual_time");
  Events events(options.events);
  Collector collector(*benchmark::CreateDefaultDisplayReporter(), width);
  std::signal(SIGINT, on_interrupt);
  std::vector<Facts> facts;
  for (std::size_t i = 0; i < cells.size() && !interrupted; ++i)
    if (!entries[i].empty()) facts.push_back(run_cell(cells[i], entries[i], options, collector, events, moment));
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
