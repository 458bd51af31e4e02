// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <benchmark/benchmark.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/accuracy.h"
#include "core/proof.h"
#include "race/cell.h"
#include "race/events.h"

namespace convbwd::race {

/// An entrant on its way: planned, proved, and then timed or entered with a reason.
struct Contender {
  Entrant entrant;
  std::unique_ptr<Session> session;  // null once there is a reason
  Verdict verdict;
  std::optional<Accuracy> accuracy;  // on real numbers
  double plan_seconds = 0, proof_seconds = 0;
  double execution_seconds = 0;       // of one execution, as far as the proof could tell
  std::vector<double> stage_seconds;  // of each of the plan's stages, where asked for
  std::optional<double> proof_run;    // so slow that its proof run is its only measurement, in seconds
};

/// One cell alive: owns the tensors and plans of all contenders while they are raced.
class Contest {
 public:
  /// A row whose single execution takes longer than this, or than this share of its cell's time, is timed by its proof
  /// run alone.
  static constexpr double kSlowSeconds = 0.5, kSlowShareOfCell = 0.05;
  /// A row that takes longer than this does not notice what caches held before, and is not warmed up.
  static constexpr double kWarmUpSeconds = 0.05;

  Contest(const Cell& cell, const Options& options, Events& events);

  /// Plans and proves every entrant on the cell's own problem. Whatever goes wrong becomes the row's reason.
  void qualify();

  /// What Google Benchmark calls for contender `index`.
  void run(benchmark::State& state, std::size_t index, int round, int sequence);

  /// Of one execution, in the last run.
  double last_seconds() const { return last_seconds_; }

  const std::vector<Contender>& contenders() const { return contenders_; }
  void set_peak(double gflops) { peak_gflops_ = gflops; }

 private:
  void qualify(Contender& contender);
  std::string prove(Contender& contender);
  double slow_seconds() const;
  /// How long one execution takes, from parts of the layer.
  double predicted_seconds(const Contender& contender) const;
  /// One execution of such a part; no time at all where the row does not support it.
  double seconds_of(const Contender& contender, const Problem& problem) const;
  void count(benchmark::State& state, const Contender& contender, double seconds, int round, int sequence) const;

  const Cell& cell_;
  const Options& options_;
  Events& events_;
  std::vector<Contender> contenders_;
  std::unique_ptr<Reference> integers_, reals_;
  double peak_gflops_ = 0, last_seconds_ = 0;
};

/// Seconds since the process began.
double seconds_since_start();

}  // namespace convbwd::race
