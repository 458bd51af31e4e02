// SPDX-License-Identifier: Apache-2.0
#include "race/rounds.h"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <iostream>
#include <numeric>
#include <random>
#include <regex>
#include <sstream>

#include "race/contest.h"
#include "race/ranking.h"
#include "race/schedule.h"
#include "support/machine.h"
#include "support/peak.h"
#include "support/refuse.h"
#include "support/threads.h"

namespace convbwd::race {
namespace {

/// Of a cell's time, whatever was spent on planning and proving.
constexpr double kLeastShareOfRounds = 1.0 / 3;

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
      (contender.session && !contender.proof_run ? ready_ : settled_).push_back(entry);
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
    for (const Entry& entry : settled_) benchmark::RunSpecifiedBenchmarks(&collector_, exactly(entry.name));
    collector_.close_rounds(mark, 1);
  }

  /// Times the others, from the first round on, for about so many seconds.
  void race(double seconds) {
    const std::size_t mark = collector_.mark();
    std::mt19937_64 shuffle(options_.seed);
    std::vector<std::size_t> order(ready_.size());
    std::iota(order.begin(), order.end(), 0);
    Schedule schedule(ready_.size(), options_.rounds, seconds);
    const double start = seconds_since_start();
    int rounds = 0;
    for (bool anybody = true; anybody && !interrupted_;) {
      std::shuffle(order.begin(), order.end(), shuffle);
      begin_round(rounds);
      anybody = false;
      for (std::size_t i : order) {
        const double began = seconds_since_start();
        if (interrupted_ || !schedule.takes_part(i, round_, began - start)) continue;
        time(ready_[i]);
        schedule.ran(i, seconds_since_start() - began, contest_.last_seconds());
        anybody = true;
      }
      rounds += anybody;
    }
    collector_.close_rounds(mark, std::max(rounds, 1));
  }

 private:
  void begin_round(int round) {
    collector_.set_round(round_ = round);
    sequence_ = 0;
  }

  void time(const Entry& entry) {
    const Events::Step step(events_, contest_.contenders()[entry.index].entrant.title, "time", round_);
    benchmark::RunSpecifiedBenchmarks(&collector_, exactly(entry.name));
    ++sequence_;
  }

  Contest& contest_;
  const Options& options_;
  Collector& collector_;
  Events& events_;
  const std::atomic<bool>& interrupted_;
  std::vector<Entry> ready_, settled_;
  int round_ = 0, sequence_ = 0;
};

std::string heading(const Cell& cell) {
  std::ostringstream text;
  text << name(cell.pass) << ' ' << cell.workload << ':' << cell.layer << ", " << name(cell.layout) << ", "
       << name(cell.cache) << ", threads:" << cell.threads << ", " << name(cell.cap);
  return text.str();
}

std::vector<Standing> standings(const Contest& contest, const std::vector<Entry>& entries, const Collector& collector,
                                std::size_t mark) {
  std::vector<Standing> standings;
  for (const Entry& entry : entries) {
    const Entrant& entrant = contest.contenders()[entry.index].entrant;
    standings.push_back({entrant.title, entrant.reason, collector.seconds_of(entry.name, mark)});
  }
  return standings;
}

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
  const std::size_t beginning = collector.mark();
  rounds.report_settled();
  std::string noisy;
  for (int attempt = 0; attempt < 2 && !interrupted; ++attempt) {
    const std::size_t mark = collector.mark();
    const support::Disturbance around_rounds;
    if (attempt > 0) contest.set_peak((before = support::probe(cell.threads, cell.cap)).fma_gflops);
    const double left = options.cell_seconds - (seconds_since_start() - start);
    rounds.race(std::max(left, kLeastShareOfRounds * options.cell_seconds));
    after = support::probe(cell.threads, cell.cap);
    noisy = support::disagreement(before, after);
    if (noisy.empty()) noisy = around_rounds.others();
    if (noisy.empty() || attempt > 0 || interrupted) break;
    collector.forget_since(mark);
    if (options.console) std::cout << "once more: " << noisy << "\n";
  }
  if (options.console)
    std::cout << ranking(heading(cell), standings(contest, entries, collector, beginning), 2e-9 * cell.problem.macs(),
                         std::max(before.fma_gflops, after.fma_gflops), noisy);
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
