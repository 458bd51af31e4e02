// SPDX-License-Identifier: Apache-2.0
#include "race/contest.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <exception>
#include <new>

namespace convbwd::race {
namespace {

using Clock = std::chrono::steady_clock;
const Clock::time_point kProcessStart = Clock::now();

double since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

/// Rows of outputs of one image that make about so many multiply-adds, at least one.
Dim rows_of(const Problem& problem, double macs) {
  const double a_row = problem.macs() / static_cast<double>(problem.N * problem.P);
  return std::clamp<Dim>(static_cast<Dim>(macs / std::max(1.0, a_row)), 1, problem.P);
}

/// The same layer cut down to some images and a band of their rows of outputs.
Problem band_of(const Problem& problem, Dim images, Dim rows) {
  Problem band = problem;
  band.N = images;
  if (rows == problem.P) return band;
  band.P = rows;
  const Dim read = (band.P - 1) * band.stride_h + band.dilation_h * (band.R - 1) + 1 - band.pad_top;
  band.H = std::clamp<Dim>(read, 1, problem.H);
  return band;
}

}  // namespace

double seconds_since_start() { return since(kProcessStart); }

Contest::Contest(const Cell& cell, const Options& options, Events& events)
    : cell_(cell), options_(options), events_(events) {
  for (Entrant& entrant : entrants_of(cell, options)) contenders_.push_back({.entrant = std::move(entrant)});
}

void Contest::qualify() {
  double growth = 1;
  for (const Contender& contender : contenders_)
    if (contender.entrant.row) growth = std::max(growth, contender.entrant.row->integer_growth);
  try {
    integers_ = std::make_unique<Reference>(cell_.problem, cell_.pass, Data::integers, growth, options_.seed);
    reals_ = std::make_unique<Reference>(cell_.problem, cell_.pass, Data::normal, growth, options_.seed);
  } catch (const std::bad_alloc&) {
    for (Contender& contender : contenders_)
      if (contender.entrant.reason.empty())
        contender.entrant.reason = "failed: out of memory: the layer's own tensors do not fit";
  }
  for (Contender& contender : contenders_)
    if (contender.entrant.reason.empty()) qualify(contender);
  integers_.reset();
  reals_.reset();
}

void Contest::qualify(Contender& contender) {
  std::string& reason = contender.entrant.reason;
  std::string step = "planning";
  try {
    if (options_.row_seconds > 0) {
      const Events::Step event(events_, contender.entrant.title, "predict");
      if (const double seconds = predicted_seconds(contender); seconds > options_.row_seconds) {
        char text[160];
        std::snprintf(text, sizeof text, "skip: one execution is predicted to take %.1f s, over its share of %.1f s",
                      seconds, options_.row_seconds);
        reason = text;
        return;
      }
    }
    {
      const Events::Step event(events_, contender.entrant.title, "plan");
      const auto start = Clock::now();
      contender.session = std::make_unique<Session>(*contender.entrant.row, cell_.problem, cell_.pass,
                                                    PlanOptions{cell_.threads, cell_.layout, {}});
      contender.plan_seconds = since(start);
    }
    step = "proving";
    const Events::Step event(events_, contender.entrant.title, "prove");
    const auto start = Clock::now();
    reason = prove(contender);
    contender.proof_seconds = since(start);
    if (options_.stages && reason.empty() && !contender.proof_run)
      contender.stage_seconds = contender.session->stage_seconds();
  } catch (const std::bad_alloc&) {
    reason = "failed: out of memory while " + step;
  } catch (const std::exception& error) {
    reason = std::string("failed: ") + error.what() + " (while " + step + ")";
  }
  if (!reason.empty()) contender.session.reset();
}

std::string Contest::prove(Contender& contender) {
  double seconds = 0;
  Session& session = *contender.session;
  Verdict exact = convbwd::prove(session, *integers_, slow_seconds(), seconds);
  if (!exact) return "wrong: on whole numbers " + exact.wrong;
  contender.verdict = exact;
  if (seconds > slow_seconds()) {
    contender.proof_run = seconds;
    return {};
  }
  // Leaves real numbers for the clock.
  Verdict real = convbwd::prove(session, *reals_, /*slow_seconds=*/0, contender.execution_seconds);
  if (!real) return "wrong: on real numbers " + real.wrong;
  contender.verdict.error_ratio = std::max(exact.error_ratio, real.error_ratio);
  contender.accuracy = accuracy_of(session, *reals_);
  return {};
}

double Contest::slow_seconds() const {
  return options_.cell_seconds > 0 ? std::min(kSlowSeconds, kSlowShareOfCell * options_.cell_seconds) : kSlowSeconds;
}

double Contest::predicted_seconds(const Contender& contender) const {
  // A slow row's rate hardly depends on the size of a band. A fast one's does: what it takes whatever the size, to pack
  // the filters or to write dw, is multiplied too. So nobody is given up before a band takes a good part of the share.
  const double good_part = options_.row_seconds / 8;
  const Problem& all = cell_.problem;
  for (Dim images = 1, rows = rows_of(all, kMostMacsInFull / 4);;) {
    const Problem band = band_of(all, images, rows);
    const double seconds = seconds_of(contender, band), predicted = seconds * all.macs() / band.macs();
    const bool whole = images == all.N && rows == all.P;
    if (predicted <= options_.row_seconds || seconds >= good_part || whole) return predicted;
    (rows < all.P ? rows : images) *= 2;
    rows = std::min(rows, all.P);
    images = std::min(images, all.N);
  }
}

double Contest::seconds_of(const Contender& contender, const Problem& problem) const {
  if (!contender.entrant.row->supports(problem, cell_.pass)) return 0;
  Session session(*contender.entrant.row, problem, cell_.pass, PlanOptions{cell_.threads, cell_.layout, {}});
  session.prepare();
  const auto start = Clock::now();
  session.execute();
  return since(start);
}

void Contest::run(benchmark::State& state, std::size_t index, int round, int sequence) {
  const Contender& contender = contenders_[index];
  if (!contender.entrant.reason.empty()) {
    state.SkipWithError(contender.entrant.reason.c_str());
    return;
  }
  double seconds = 0;
  Session& session = *contender.session;
  if (contender.proof_run) {
    for ([[maybe_unused]] auto iteration : state) state.SetIterationTime(*contender.proof_run);
    seconds = *contender.proof_run;
  } else if (cell_.cache == Cache::cold) {
    for ([[maybe_unused]] auto iteration : state) {
      session.evict();
      const auto start = Clock::now();
      session.execute();
      const double once = since(start);
      state.SetIterationTime(once);
      seconds += once / static_cast<double>(state.max_iterations);
    }
  } else {
    // Whoever ran before left the caches full of other tensors.
    if (contender.execution_seconds < kWarmUpSeconds) session.execute();
    while (state.KeepRunningBatch(static_cast<benchmark::IterationCount>(state.max_iterations))) {
      const auto start = Clock::now();
      for (benchmark::IterationCount i = 0; i < state.max_iterations; ++i) session.execute();
      const double all = since(start);
      state.SetIterationTime(all);
      seconds = all / static_cast<double>(state.max_iterations);
    }
  }
  last_seconds_ = seconds;
  count(state, contender, seconds, round, sequence);
}

void Contest::count(benchmark::State& state, const Contender& contender, double seconds, int round,
                    int sequence) const {
  const Session& session = *contender.session;
  const double gflops = 2e-9 * cell_.problem.macs() / seconds;
  const auto set = [&state](const char* counter, double value) {
    if (std::isfinite(value)) state.counters[counter] = value;  // JSON has no word for the others
  };
  set("gflops", gflops);
  set("peak_fraction", gflops / peak_gflops_);
  set("gbs", 1e-9 * static_cast<double>(session.tensor_bytes()) / seconds);
  set("workspace_bytes", static_cast<double>(session.workspace_bytes()));
  set("tensor_bytes", static_cast<double>(session.tensor_bytes()));
  set("error_ratio", contender.verdict.error_ratio);
  if (contender.accuracy) {
    set("error_rms", contender.accuracy->error);
    set("error_bound", contender.accuracy->bound);
  }
  set("checked", static_cast<double>(contender.verdict.checked));
  set("round", round);
  set("sequence", sequence);
  set("start_s", seconds_since_start() - seconds * static_cast<double>(state.iterations()));
  set("plan_s", contender.plan_seconds);
  set("pack_s", session.pack_seconds());
  set("proof_s", contender.proof_seconds);
  set("threaded", contender.entrant.row->threaded);
  set("library", contender.entrant.row->library);
  set("proof_run", contender.proof_run.has_value());
  for (std::size_t i = 0; i < contender.stage_seconds.size(); ++i)
    set(("stage:" + std::string(session.plan().stages()[i])).c_str(), contender.stage_seconds[i]);
  state.SetLabel(session.plan().resolved());
}

}  // namespace convbwd::race
