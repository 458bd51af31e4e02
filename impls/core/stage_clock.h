// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <vector>

namespace convbwd {

/// Measures how long a plan spends in each of its stages (Plan::stages()), on the thread that made the clock and while
/// it exists. A plan of several threads is seen by its first one.
class StageClock {
 public:
  explicit StageClock(std::size_t stages);
  ~StageClock();
  StageClock(const StageClock&) = delete;
  StageClock& operator=(const StageClock&) = delete;

  const std::vector<double>& seconds() const { return seconds_; }

 private:
  friend class StageTimer;
  std::vector<double> seconds_;
};

/// What a plan puts around a stage. Where there is no clock it costs two calls.
class StageTimer {
 public:
  explicit StageTimer(std::size_t stage);
  ~StageTimer();
  StageTimer(const StageTimer&) = delete;
  StageTimer& operator=(const StageTimer&) = delete;

 private:
  StageClock* clock_;
  std::size_t stage_;
  std::chrono::steady_clock::time_point start_;
};

}  // namespace convbwd
