// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace convbwd::race {

/// A file that says what is about to happen, one JSON line a step, each line written with a single system call before
/// the step begins: after a crash or a hang the last "begin" without an "end" names the contender that was running.
///     {"event":"begin","contender":"avx2:avx2","step":"prove","round":0,"time":1732400000.12}
class Events {
 public:
  explicit Events(const std::string& file);  // empty: nothing is written
  ~Events();
  Events(const Events&) = delete;
  Events& operator=(const Events&) = delete;

  void cell(std::string_view state);

  /// Begins on construction, ends on destruction.
  class Step {
   public:
    Step(Events& events, const std::string& contender, std::string_view step, int round = 0);
    ~Step();
    Step(const Step&) = delete;
    Step& operator=(const Step&) = delete;

   private:
    Events& events_;
    std::string contender_, step_;
    int round_;
  };

 private:
  void write(const std::string& line);
  int descriptor_ = -1;
};

}  // namespace convbwd::race
