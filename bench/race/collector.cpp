// SPDX-License-Identifier: Apache-2.0
#include "race/collector.h"

#include <algorithm>

namespace convbwd::race {
namespace {

/// The message of an entry that was not timed, or nothing. Google Benchmark renamed these members in 1.8.
template <class AnyRun>
std::string error_of(const AnyRun& run) {
  if constexpr (requires { run.error_occurred; })
    return run.error_occurred ? run.error_message : "";
  else
    return run.skipped ? run.skip_message : "";
}

bool any_begins_with(const std::vector<Collector::Run>& runs, const char* beginning) {
  return std::any_of(runs.begin(), runs.end(),
                     [beginning](const auto& run) { return error_of(run).starts_with(beginning); });
}

}  // namespace

Collector::Collector(benchmark::BenchmarkReporter& display, std::size_t name_width, bool live)
    : display_(display), name_width_(name_width), live_(live) {}

bool Collector::ReportContext(const Context& context) {
  if (heading_shown_) return true;
  heading_shown_ = true;
  Context wide = context;
  wide.name_field_width = name_width_;
  return display_.ReportContext(wide);
}

void Collector::ReportRuns(const std::vector<Run>& runs) {
  std::vector<Run> numbered = runs;
  for (Run& run : numbered)
    if (run.run_type == Run::RT_Iteration && run.repetitions <= 1) run.repetition_index = round_;
  if (live_) display_.ReportRuns(numbered);
  runs_.insert(runs_.end(), numbered.begin(), numbered.end());
}

void Collector::finish() {
  if (!live_ && !runs_.empty()) display_.ReportRuns(runs_);
  display_.Finalize();
}

void Collector::close_rounds(std::size_t mark, int rounds) {
  for (auto run = runs_.begin() + static_cast<std::ptrdiff_t>(mark); run != runs_.end(); ++run)
    if (run->repetitions <= 1) run->repetitions = rounds;
}

std::vector<double> Collector::seconds_of(const std::string& name, std::size_t mark) const {
  std::vector<double> seconds;
  for (auto run = runs_.begin() + static_cast<std::ptrdiff_t>(mark); run != runs_.end(); ++run)
    if (run->run_type == Run::RT_Iteration && error_of(*run).empty() && run->benchmark_name().starts_with(name + "/"))
      seconds.push_back(run->real_accumulated_time / static_cast<double>(run->iterations));
  return seconds;
}

bool Collector::any_wrong() const { return any_begins_with(runs_, "wrong: "); }
bool Collector::any_failed() const { return any_begins_with(runs_, "failed: "); }
bool Collector::any_timed() const {
  return std::any_of(runs_.begin(), runs_.end(), [](const auto& run) { return error_of(run).empty(); });
}

}  // namespace convbwd::race
