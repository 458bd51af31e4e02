// SPDX-License-Identifier: Apache-2.0
#include "race/collector.h"

#include <algorithm>

namespace convbwd::race {

Collector::Collector(benchmark::BenchmarkReporter& display, std::size_t name_width)
    : display_(display), name_width_(name_width) {}

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
  display_.ReportRuns(numbered);
  runs_.insert(runs_.end(), numbered.begin(), numbered.end());
}

void Collector::close_rounds(std::size_t mark, int rounds) {
  for (auto run = runs_.begin() + static_cast<std::ptrdiff_t>(mark); run != runs_.end(); ++run)
    if (run->repetitions <= 1) run->repetitions = rounds;
}

bool Collector::any_wrong() const {
  return std::any_of(runs_.begin(), runs_.end(),
                     [](const Run& run) { return run.error_occurred && run.error_message.starts_with("wrong: "); });
}

bool Collector::any_failed() const {
  return std::any_of(runs_.begin(), runs_.end(),
                     [](const Run& run) { return run.error_occurred && run.error_message.starts_with("failed: "); });
}

}  // namespace convbwd::race
