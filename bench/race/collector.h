// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <benchmark/benchmark.h>

#include <string>
#include <vector>

namespace convbwd::race {

/// Shows runs as they happen and keeps them, so that many short calls of Google Benchmark (one a contender and round)
/// look like one: a single heading on the terminal and a single document at the end.
class Collector : public benchmark::BenchmarkReporter {
 public:
  Collector(benchmark::BenchmarkReporter& display, std::size_t name_width);

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

  bool any_wrong() const;
  bool any_failed() const;
  bool any_timed() const;
  const std::vector<Run>& runs() const { return runs_; }
  void finish() { display_.Finalize(); }

 private:
  benchmark::BenchmarkReporter& display_;
  std::size_t name_width_;
  bool heading_shown_ = false;
  int round_ = 0;
  std::vector<Run> runs_;
};

}  // namespace convbwd::race
