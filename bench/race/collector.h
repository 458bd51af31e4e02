// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <benchmark/benchmark.h>

#include <string>
#include <vector>

namespace convbwd::race {

/// Keeps runs, so that many short calls of Google Benchmark (one a contender and round) look like one: a single heading
/// and a single document at the end. People see runs as they happen; programs that read JSON or CSV get those that
/// count, all at once, for a CSV's columns are those of its first runs.
class Collector : public benchmark::BenchmarkReporter {
 public:
  Collector(benchmark::BenchmarkReporter& display, std::size_t name_width, bool live);

  bool ReportContext(const Context& context) override;
  void ReportRuns(const std::vector<Run>& runs) override;
  void Finalize() override {}

  /// The number of the round that reported runs belong to from now on.
  void set_round(int round) { round_ = round; }

  /// Forgets the runs kept since the mark; used to repeat a disturbed cell.
  std::size_t mark() const { return runs_.size(); }
  void forget_since(std::size_t mark) { runs_.resize(mark); }

  /// Sets the number of rounds on every run since the mark, now that it is known.
  void close_rounds(std::size_t mark, int rounds);

  /// Seconds per execution in each round that the benchmark of this name had since the mark.
  std::vector<double> seconds_of(const std::string& name, std::size_t mark) const;

  bool any_wrong() const;
  bool any_failed() const;
  bool any_timed() const;
  const std::vector<Run>& runs() const { return runs_; }
  void finish();

 private:
  benchmark::BenchmarkReporter& display_;
  std::size_t name_width_;
  bool live_;
  bool heading_shown_ = false;
  int round_ = 0;
  std::vector<Run> runs_;
};

}  // namespace convbwd::race
