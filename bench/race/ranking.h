// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace convbwd::race {

/// How a contender of a cell came off: seconds per execution in each round, or the reason why there are none.
struct Standing {
  std::string title, reason;
  std::vector<double> seconds;
};

/// The outcome of a cell for people: contenders by their median, fastest first, then the others with their reasons.
/// `gflop`: of one execution. `peak`: GFLOP/s of the machine during the cell.
std::string ranking(const std::string& cell, std::vector<Standing> standings, double gflop, double peak,
                    const std::string& noisy);

/// `5.12 ms`: three digits.
std::string duration(double seconds);

/// A 95 % interval of the median: two order statistics (the inversion of the sign test). Of fewer than six samples
/// there is none; then all samples lie in what is returned.
struct Interval {
  double low, high;
  bool all;
};
Interval interval_of_median(const std::vector<double>& sorted);

}  // namespace convbwd::race
