// SPDX-License-Identifier: Apache-2.0
//
// What is particular to the row `onednn`: its cap is the process's, it names its kernel, it gives OpenMP's setting
// back, and it refuses exactly what the library refuses. Its results are compared in implementations_test.
#include <gtest/gtest.h>
#include <omp.h>

#include <stdexcept>

#include "core/registry.h"
#include "core/session.h"

namespace convbwd {
namespace {

constexpr Problem kProblem{.N = 2, .C = 16, .H = 9, .W = 8, .K = 32, .R = 3, .S = 3, .P = 7, .Q = 6};

const Implementation* row() { return best_within("onednn", best_isa()); }

std::string error_of(const Implementation& implementation, const Problem& problem, Pass pass) {
  try {
    implementation.plan(problem, pass, {.isa = implementation.isa});
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return {};
}

class OneDnn : public testing::Test {
 protected:
  void SetUp() override {
    if (!row()) GTEST_SKIP() << "onednn is not built";
  }
};

TEST_F(OneDnn, FailsWithWordsUnderASecondCap) {
  EXPECT_EQ(error_of(*row(), kProblem, Pass::data), "");
  for (const Implementation* other : implementations_named("onednn")) {
    if (other == row()) continue;
    const std::string words = error_of(*other, kProblem, Pass::data);
    EXPECT_NE(words.find("capped at " + std::string(name(row()->isa))), std::string::npos) << words;
    EXPECT_NE(words.find(name(other->isa)), std::string::npos) << words;
  }
}

TEST_F(OneDnn, NamesVersionKernelAndWhatItReorders) {
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

TEST_F(OneDnn, GivesTheNumberOfThreadsBack) {
  omp_set_num_threads(3);
  Session session(*row(), kProblem, Pass::weights, {.threads = 2, .layout = Layout::nhwc});
  EXPECT_EQ(omp_get_max_threads(), 3);
  session.prepare();
  session.execute();
  EXPECT_EQ(omp_get_max_threads(), 3);
}

TEST_F(OneDnn, RefusesExactlyWhatTheLibraryRefuses) {
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
