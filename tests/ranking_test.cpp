// SPDX-License-Identifier: Apache-2.0
//
// The table at the end of a cell, and the interval in it.
#include "race/ranking.h"

#include <gtest/gtest.h>

#include <numeric>

namespace convbwd::race {
namespace {

std::vector<double> ascending(std::size_t n) {
  std::vector<double> samples(n);
  std::iota(samples.begin(), samples.end(), 1);
  return samples;
}

TEST(Ranking, FastestFirstThenTheOthersWithTheirReasons) {
  const std::vector<Standing> standings = {
      {"naive:baseline", "", {0.8}},
      {"winograd_f2:avx2", "skip: only 3x3", {}},
      {"onednn:avx512", "", {0.0040, 0.0042, 0.0041, 0.0044, 0.0043, 0.0039, 0.0500}},
      {"left out by the filter", "", {}},
      {"avx2:avx2", "", {0.010, 0.012}},
  };
  EXPECT_EQ(ranking("data/w:l/native/warm/threads:1", standings, 0.5, 200, "the peak went"),
            "\n"
            "data/w:l/native/warm/threads:1: 0.50 GFLOP, peak 200 GFLOP/s\n"
            "contender        median  x fastest  % of peak  rounds  95 % interval\n"
            "onednn:avx512   4.20 ms       1.00       59.5       7  3.90 ms to 50.0 ms\n"
            "avx2:avx2       11.0 ms       2.62       22.7       2  10.0 ms to 12.0 ms (all)\n"
            "naive:baseline   800 ms        190       0.31       1  one run\n"
            "winograd_f2:avx2  skip: only 3x3\n"
            "noisy: the peak went\n"
            "\n");
}

TEST(Ranking, NothingTimedIsNoTable) {
  EXPECT_EQ(ranking("c", {{"a:avx2", "failed: crashed", {}}}, 20, 0, ""),
            "\nc: 20.0 GFLOP, peak 0.00 GFLOP/s\na:avx2  failed: crashed\n\n");
}

TEST(Ranking, IntervalsAreThoseOfTheSignTest) {
  EXPECT_TRUE(interval_of_median(ascending(5)).all);
  // Ranks of the classical table for 95 %: 6 samples 1 and 6, 10 samples 2 and 9, 20 samples 6 and 15.
  for (const auto& [n, low, high] :
       {std::tuple{6, 1, 6}, {8, 1, 8}, {9, 2, 8}, {10, 2, 9}, {20, 6, 15}, {50, 18, 33}}) {
    const Interval interval = interval_of_median(ascending(static_cast<std::size_t>(n)));
    EXPECT_FALSE(interval.all);
    EXPECT_EQ(interval.low, low) << n;
    EXPECT_EQ(interval.high, high) << n;
  }
  EXPECT_LT(interval_of_median(ascending(1000)).low, 500);
}

TEST(Ranking, DurationsHaveThreeDigits) {
  EXPECT_EQ(duration(1234), "1234 s");
  EXPECT_EQ(duration(1), "1.00 s");
  EXPECT_EQ(duration(0.9994), "999 ms");
  EXPECT_EQ(duration(0.09996), "100 ms");
  EXPECT_EQ(duration(9.99e-6), "9.99 us");
}

}  // namespace
}  // namespace convbwd::race
