// SPDX-License-Identifier: Apache-2.0
#include "race/schedule.h"

#include <algorithm>

namespace convbwd::race {

bool Schedule::takes_part(std::size_t row, int round, double elapsed) const {
  if (round < least_rounds_) return true;
  if (round >= kMostRounds) return false;
  double needed = rows_[row].cost();
  if (is_doubtful(rows_[row])) return elapsed + needed <= seconds_;
  for (const Row& other : rows_)
    if (other.execution * kMuchFaster < rows_[row].execution)
      needed += other.cost() * std::max(0, kFastRounds - other.rounds);
  return elapsed + needed <= seconds_;
}

bool Schedule::is_doubtful(const Row& row) const {
  if (row.rounds >= kSureRounds) return false;
  const double fastest = std::ranges::min_element(rows_, {}, &Row::execution)->execution;
  return row.cost() <= kDoubt * seconds_ * fastest / row.execution / (row.rounds * row.rounds);
}

void Schedule::ran(std::size_t row, double seconds, double execution) {
  rows_[row].used += seconds;
  rows_[row].execution = std::min(rows_[row].execution, execution);
  ++rows_[row].rounds;
}

}  // namespace convbwd::race
