// SPDX-License-Identifier: Apache-2.0
//
// What is particular to the rows `onednn` and `onednn_best`: their cap is the process's, they name their kernel, give
// OpenMP's setting back, and refuse exactly what the library refuses. Results are compared in implementations_test.
#include <gtest/gtest.h>
#include <omp.h>

#include <regex>
#include <stdexcept>

#include "core/registry.h"
#include "core/session.h"

namespace convbwd {
namespace {

constexpr Problem kProblem{.N = 2, .C = 16, .H = 9, .W = 8, .K = 32, .R = 3, .S = 3, .P = 7, .Q = 6};

std::string error_of(const Implementation& implementation, const Problem& problem, Pass pass) {
  try {
    implementation.plan(problem, pass, {.isa = implementation.isa});
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return {};
}

class OneDnn : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (!row()) GTEST_SKIP() << GetParam() << " is not built";
  }
  static const Implementation* row() { return best_within(GetParam(), best_isa()); }
};
INSTANTIATE_TEST_SUITE_P(, OneDnn, testing::Values("onednn", "onednn_best"),
                         [](const auto& row) { return std::string(row.param); });

TEST_P(OneDnn, FailsWithWordsUnderASecondCap) {
  EXPECT_EQ(error_of(*row(), kProblem, Pass::data), "");
  for (const Implementation* other : implementations_named(GetParam())) {
    if (other == row()) continue;
    const std::string words = error_of(*other, kProblem, Pass::data);
    EXPECT_NE(words.find("capped at " + std::string(name(row()->isa))), std::string::npos) << words;
    EXPECT_NE(words.find(name(other->isa)), std::string::npos) << words;
  }
}

TEST_P(OneDnn, NamesVersionKernelAndWhatItReorders) {
  for (Layout layout : {Layout::native, Layout::nchw, Layout::nhwc}) {
    const auto plan = row()->plan(kProblem, Pass::data, {.layout = layout, .isa = row()->isa});
    EXPECT_EQ(plan->resolved().rfind("oneDNN 3.", 0), 0u) << plan->resolved();
    EXPECT_NE(plan->resolved().find(':'), std::string::npos) << plan->resolved();
    if (layout == Layout::native) {
      EXPECT_EQ(plan->resolved().find("reorders"), std::string::npos) << plan->resolved();
    } else {
      EXPECT_EQ(plan->packed_bytes(Role::dx), 0u);
    }
  }
}

TEST_P(OneDnn, SaysHowItsKernelWasChosen) {
  const auto plan = row()->plan(kProblem, Pass::data, {.isa = row()->isa});
  std::smatch match;
  const std::string words = plan->resolved();
  const bool timed = std::regex_search(
      words, match, std::regex(R"(fastest of (\d+) timed by this plan, number (\d+) of the library's order)"));
  EXPECT_EQ(timed, row()->name == "onednn_best") << words;
  if (timed) {
    EXPECT_GT(std::stoi(match[1]), 1) << words;
    EXPECT_LE(std::stoi(match[2]), std::stoi(match[1])) << words;
  }
}

TEST_P(OneDnn, GivesTheNumberOfThreadsBack) {
  omp_set_num_threads(3);
  Session session(*row(), kProblem, Pass::weights, {.threads = 2, .layout = Layout::nhwc});
  EXPECT_EQ(omp_get_max_threads(), 3);
  session.prepare();
  session.execute();
  EXPECT_EQ(omp_get_max_threads(), 3);
}

TEST_P(OneDnn, RefusesExactlyWhatTheLibraryRefuses) {
  for (Dim unused : {0, 1, 2, 3, 4, 5})
    for (bool rows : {true, false}) {
      Problem problem = kProblem;
      problem.stride_h = problem.stride_w = 3;
      problem.P = problem.Q = 2;
      problem.H = problem.W = 6;
      (rows ? problem.H : problem.W) += unused;
      for (Pass pass : {Pass::data, Pass::weights}) {
        const std::string words = error_of(*row(), problem, pass);
        EXPECT_EQ(static_cast<bool>(row()->supports(problem, pass)), words.empty()) << words;
        if (!words.empty()) {
          EXPECT_NE(words.find("invalid_arguments"), std::string::npos) << words;
        }
      }
    }
}

}  // namespace
}  // namespace convbwd
