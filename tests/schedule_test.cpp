// SPDX-License-Identifier: Apache-2.0
//
// How the rounds of a cell are shared among its rows, on a clock of our own.
#include "race/schedule.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace convbwd::race {
namespace {

struct Outcome {
  std::vector<int> rounds;
  double seconds = 0;
};

Outcome race(const std::vector<double>& costs, int least_rounds, double seconds) {
  Schedule schedule(costs.size(), least_rounds, seconds);
  Outcome outcome{std::vector<int>(costs.size())};
  bool anybody = true;
  for (int round = 0; anybody; ++round) {
    anybody = false;
    for (std::size_t row = 0; row < costs.size(); ++row) {
      if (!schedule.takes_part(row, round, outcome.seconds)) continue;
      outcome.seconds += costs[row];
      schedule.ran(row, costs[row], costs[row] / 2);
      ++outcome.rounds[row];
      anybody = true;
    }
  }
  return outcome;
}

TEST(Schedule, WithoutTimeEverybodyHasTheRoundsAskedFor) {
  EXPECT_EQ(race({0.001, 0.4}, 1, 0).rounds, (std::vector{1, 1}));
  EXPECT_EQ(race({0.001, 0.4}, 7, 0).rounds, (std::vector{7, 7}));
}

TEST(Schedule, SlowRowsMakeWayUntilFastOnesHadTheirRounds) {
  // What a cell of ResNet-50 looks like: five contenders, and four rows that are there to be beaten.
  const Outcome outcome = race({0.02, 0.3, 0.025, 0.15, 0.03, 0.25, 0.015, 0.08, 0.02}, 1, 2);
  for (std::size_t fast : {0, 2, 4, 6, 8}) EXPECT_GE(outcome.rounds[fast], Schedule::kFastRounds);
  EXPECT_GE(*std::min_element(outcome.rounds.begin(), outcome.rounds.end()), 1);
  EXPECT_LE(outcome.seconds, 2);
}

TEST(Schedule, WhatFastRowsDoNotNeedIsForSlowOnes) {
  const Outcome outcome = race({0.01, 0.3}, 1, 2);
  EXPECT_GE(outcome.rounds[0], Schedule::kFastRounds);
  EXPECT_GE(outcome.rounds[1], 5);
}

TEST(Schedule, NearEqualsRunSideBySideHoweverLittleTimeThereIs) {
  const Outcome outcome = race({0.02, 0.03, 0.04}, 1, 0.4);
  EXPECT_GE(outcome.rounds[2], 4);
  EXPECT_LE(*std::max_element(outcome.rounds.begin(), outcome.rounds.end()) - outcome.rounds[2], 1);
}

TEST(Schedule, AHiccupMakesNobodySlow) {
  // The second row's first execution takes forty times as long as those that follow; there is no time for ten rounds.
  Schedule schedule(2, 1, 1);
  int rounds = 0;
  double elapsed = 0;
  for (int round = 0; round < 6; ++round)
    for (std::size_t row : {0, 1}) {
      if (!schedule.takes_part(row, round, elapsed)) continue;
      const double cost = row == 0 ? 0.11 : rounds == 0 ? 0.04 : 0.001;
      schedule.ran(row, cost, row == 0 ? 0.005 : cost);
      elapsed += cost;
      rounds += row == 1;
    }
  EXPECT_EQ(rounds, 6);
}

TEST(Schedule, WhoIsTwiceAsSlowOnceRunsAgainThoughItIsATenthOfTheTime) {
  // 0.4 s for the fastest, in ten rounds, would be all there is.
  Schedule schedule(2, 1, 0.4);
  schedule.ran(0, 0.04, 0.004);
  schedule.ran(1, 0.04, 0.010);
  EXPECT_TRUE(schedule.takes_part(1, 1, 0.08));
  schedule.ran(1, 0.04, 0.010);
  EXPECT_FALSE(schedule.takes_part(1, 2, 0.16)) << "as slow as before";
}

TEST(Schedule, RoundsHaveAnEnd) { EXPECT_EQ(race({1e-6}, 1, 1e6).rounds[0], Schedule::kMostRounds); }

}  // namespace
}  // namespace convbwd::race
