// SPDX-License-Identifier: Apache-2.0
#include "race/schedule.h"

#include <algorithm>

namespace convbwd::race {

bool Schedule::takes_part(std::size_t row, int round, double elapsed) const {
  if (round < least_rounds_) return true;
  if (round >= kMostRounds) return false;
  double needed = rows_[row].cost();
  const double cheap = rows_[row].rounds < 2 ? kLittle : kNextToNothing;
  if (rows_[row].rounds < kSureRounds && needed <= cheap * seconds_) return elapsed + needed <= seconds_;
  for (const Row& other : rows_)
    if (other.execution * kMuchFaster < rows_[row].execution)
      needed += other.cost() * std::max(0, kFastRounds - other.rounds);
  return elapsed + needed <= seconds_;
}

void Schedule::ran(std::size_t row, double seconds, double execution) {
  rows_[row].used += seconds;
  rows_[row].execution = std::min(rows_[row].execution, execution);
  ++rows_[row].rounds;
}

}  // namespace convbwd::race
