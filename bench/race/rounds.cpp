// SPDX-License-Identifier: Apache-2.0
#include "race/rounds.h"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <random>
#include <regex>

#include "race/contest.h"
#include "support/machine.h"
#include "support/peak.h"
#include "support/refuse.h"
#include "support/threads.h"

namespace convbwd::race {
namespace {

constexpr int kMostRounds = 50;

// A row that has used up this share of its cell's time sits the later rounds out: slow rows are known well enough after
// a few samples, and the fast ones, which are close to each other, need many.
constexpr double kMostShareOfCell = 0.2;

/// The name as a regular expression that matches it alone, with what Google Benchmark appends to it.
std::string exactly(const std::string& name) {
  static const std::regex special(R"([.^$|()\[\]{}*+?\\])");
  return "^" + std::regex_replace(name, special, R"(\$&)") + "/manual_time(/|$)";
}

/// The contenders of one cell on their way through Google Benchmark, which is called once a contender and round.
class Rounds {
 public:
  Rounds(Contest& contest, const std::vector<Entry>& entries, const Options& options, Collector& collector,
         Events& events, const std::atomic<bool>& interrupted)
      : contest_(contest), options_(options), collector_(collector), events_(events), interrupted_(interrupted) {
    benchmark::ClearRegisteredBenchmarks();  // cells that differ only in their cap share names
    for (const Entry& entry : entries) {
      const Contender& contender = contest.contenders()[entry.index];
      (contender.session && !contender.proof_run ? ready_ : settled_).push_back({entry});
      benchmark::RegisterBenchmark(
          entry.name.c_str(),
          [this, index = entry.index](benchmark::State& state) { contest_.run(state, index, round_, sequence_); })
          ->UseManualTime()
          ->Unit(benchmark::kMillisecond);
    }
  }
  ~Rounds() { benchmark::ClearRegisteredBenchmarks(); }
  Rounds(const Rounds&) = delete;
  Rounds& operator=(const Rounds&) = delete;

  /// One entry for each row that is not timed in rounds: with a reason, or with the time of its proof run.
  void report_settled() {
    const std::size_t mark = collector_.mark();
    begin_round(0);
    for (const Row& row : settled_) benchmark::RunSpecifiedBenchmarks(&collector_, exactly(row.entry.name));
    collector_.close_rounds(mark, 1);
  }

  /// Times the others, from the first round on.
  void race() {
    const std::size_t mark = collector_.mark();
    std::mt19937_64 shuffle(options_.seed);
    for (Row& row : ready_) row.seconds_used = 0;
    const double start = seconds_since_start();
    int round = 0;
    for (; round < std::max(kMostRounds, options_.rounds) && !ready_.empty() && !interrupted_; ++round) {
      if (round >= options_.rounds && seconds_since_start() - start >= options_.cell_seconds) break;
      std::shuffle(ready_.begin(), ready_.end(), shuffle);
      begin_round(round);
      bool anybody = false;
      for (Row& row : ready_) {
        if (round >= options_.rounds && row.seconds_used > kMostShareOfCell * options_.cell_seconds) continue;
        anybody = true;
        time(row);
        if (interrupted_) break;
      }
      if (!anybody) break;
    }
    collector_.close_rounds(mark, std::max(round, 1));
  }

 private:
  struct Row {
    Entry entry;
    double seconds_used = 0;  // in the rounds of the cell
  };

  void begin_round(int round) {
    collector_.set_round(round_ = round);
    sequence_ = 0;
  }

  void time(Row& row) {
    const Events::Step step(events_, contest_.contenders()[row.entry.index].entrant.title, "time", round_);
    const double began = seconds_since_start();
    benchmark::RunSpecifiedBenchmarks(&collector_, exactly(row.entry.name));
    row.seconds_used += seconds_since_start() - began;
    ++sequence_;
  }

  Contest& contest_;
  const Options& options_;
  Collector& collector_;
  Events& events_;
  const std::atomic<bool>& interrupted_;
  std::vector<Row> ready_, settled_;
  int round_ = 0, sequence_ = 0;
};

}  // namespace

std::vector<Entry> entries_of(const Cell& cell, const Options& options) {
  std::string pattern = options.filter;
  const bool inverted = pattern.starts_with('-');
  if (inverted) pattern.erase(0, 1);
  std::regex filter;
  try {
    filter = std::regex(pattern == "all" ? "." : pattern);
  } catch (const std::regex_error& error) {
    support::refuse("--benchmark_filter=" + options.filter + " is not a regular expression: " + error.what());
  }
  std::vector<Entry> entries;
  const auto entrants = entrants_of(cell, options);
  for (std::size_t index = 0; index < entrants.size(); ++index) {
    const std::string name = benchmark_name(cell, entrants[index]);
    if (std::regex_search(name, filter) != inverted) entries.push_back({name, index});
  }
  return entries;
}

Facts run_cell(const Cell& cell, const std::vector<Entry>& entries, const Options& options, Collector& collector,
               Events& events, const std::atomic<bool>& interrupted) {
  const support::Disturbance disturbance;
  const double start = seconds_since_start();
  const std::string started = support::utc_now();
  Contest contest(cell, options, events);
  support::pin_threads(cell.threads);
  contest.qualify();

  Facts facts = facts_of(cell, options);
  Rounds rounds(contest, entries, options, collector, events, interrupted);
  support::Probe before = support::probe(cell.threads, cell.cap), after;
  contest.set_peak(before.fma_gflops);
  rounds.report_settled();
  std::string noisy;
  for (int attempt = 0; attempt < 2 && !interrupted; ++attempt) {
    const std::size_t mark = collector.mark();
    const support::Disturbance around_rounds;
    if (attempt > 0) contest.set_peak((before = support::probe(cell.threads, cell.cap)).fma_gflops);
    rounds.race();
    after = support::probe(cell.threads, cell.cap);
    noisy = support::disagreement(before, after);
    if (noisy.empty()) noisy = around_rounds.others();
    if (noisy.empty()) break;
    if (attempt == 0 && !interrupted) collector.forget_since(mark);
  }
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

}  // namespace convbwd::race
