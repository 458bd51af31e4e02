// SPDX-License-Identifier: Apache-2.0
#include "core/stage_clock.h"

namespace convbwd {
namespace {

thread_local StageClock* current = nullptr;

}  // namespace

StageClock::StageClock(std::size_t stages) : seconds_(stages) { current = this; }
StageClock::~StageClock() { current = nullptr; }

StageTimer::StageTimer(std::size_t stage) : clock_(current), stage_(stage) {
  if (clock_) start_ = std::chrono::steady_clock::now();
}

StageTimer::~StageTimer() {
  if (!clock_) return;
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start_;
  clock_->seconds_[stage_] += elapsed.count();
}

}  // namespace convbwd
