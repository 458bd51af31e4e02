// SPDX-License-Identifier: Apache-2.0
#include "race/events.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <nlohmann/json.hpp>

#include "race/options.h"
#include "support/refuse.h"

namespace convbwd::race {
namespace {

double unix_time() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace

Events::Events(const std::string& file) {
  if (file.empty()) return;
  descriptor_ = open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (descriptor_ < 0) support::refuse("--events=" + file + ": " + std::strerror(errno));
}

Events::~Events() {
  if (descriptor_ >= 0) close(descriptor_);
}

void Events::write(const std::string& line) {
  if (descriptor_ < 0) return;
  const std::string whole = line + "\n";
  if (::write(descriptor_, whole.data(), whole.size()) != static_cast<ssize_t>(whole.size()))
    support::refuse(std::string("cannot write events: ") + std::strerror(errno), support::kFailed);
}

void Events::cell(std::string_view state) {
  write(nlohmann::json{{"event", "cell"}, {"state", state}, {"time", unix_time()}}.dump());
}

Events::Step::Step(Events& events, const std::string& contender, std::string_view step, int round)
    : events_(events), contender_(contender), step_(step), round_(round) {
  events_.write(nlohmann::json{
      {"event", "begin"}, {"contender", contender_}, {"step", step_}, {"round", round_}, {"time", unix_time()}}
                    .dump());
}

Events::Step::~Step() {
  events_.write(nlohmann::json{
      {"event", "end"}, {"contender", contender_}, {"step", step_}, {"round", round_}, {"time", unix_time()}}
                    .dump());
}

}  // namespace convbwd::race
