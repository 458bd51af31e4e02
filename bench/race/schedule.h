// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <limits>
#include <vector>

namespace convbwd::race {

/// Who takes part in which round of a cell. Fast rows are close to each other, and telling them apart takes rounds;
/// slow ones are known well enough after a few. So everybody has the least number of rounds asked for, and of those
/// that follow, rows make way for rows that are much faster until these have had kFastRounds. Near equals run side by
/// side always. Of the others nobody is slow for a single hiccup: up to kSureRounds they run again if that takes a
/// small share of the time that there is, and the closer they are to the fastest, and the fewer runs they had, the more
/// counts as small. How long an execution takes is the shortest of them. Nobody begins a run that would end after the
/// time.
class Schedule {
 public:
  static constexpr int kFastRounds = 10;
  static constexpr double kMuchFaster = 2;
  static constexpr int kSureRounds = 3;
  static constexpr double kDoubt = 0.4;  // of the time that there is, for an equal's second run
  static constexpr int kMostRounds = 50;

  Schedule(std::size_t rows, int least_rounds, double seconds)
      : rows_(rows), least_rounds_(least_rounds), seconds_(seconds) {}

  /// `elapsed`: seconds since the first round began.
  bool takes_part(std::size_t row, int round, double elapsed) const;

  /// The row ran: so many seconds with all that belongs to it, of which one execution takes `execution`.
  void ran(std::size_t row, double seconds, double execution);

 private:
  struct Row {
    double used = 0, execution = std::numeric_limits<double>::infinity();
    int rounds = 0;
    double cost() const { return rounds ? used / rounds : 0; }
  };
  /// Whether a hiccup may have made the row slow, and looking again costs little.
  bool is_doubtful(const Row& row) const;

  std::vector<Row> rows_;
  int least_rounds_;
  double seconds_;
};

}  // namespace convbwd::race
