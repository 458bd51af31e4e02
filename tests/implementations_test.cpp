// SPDX-License-Identifier: Apache-2.0
//
// Every implementation x ISA x pass x layout against the definition, on every awkward problem, with 1 and more threads
// and with tensors off their alignment. What was skipped is counted by reason and printed; a row that was built and
// runs on this CPU but passed nothing fails the run.
#include <gtest/gtest.h>

#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <map>
#include <tuple>

#include "core/accuracy.h"
#include "core/descriptor.h"
#include "core/proof.h"
#include "core/registry.h"
#include "problems.h"
#include "support/threads.h"

namespace convbwd {
namespace {

constexpr std::uint64_t kSeed = 42;

/// The cap of libraries that dispatch by themselves: one a process. The build runs this test once for each.
Isa process_cap() {
  const char* cap = std::getenv("CONVBWD_TEST_CAP");
  return cap ? isa_named(cap).value() : best_isa();
}

struct Case {
  const Implementation* row;
  Pass pass;
  Layout layout;
};

std::string test_name(const testing::TestParamInfo<Case>& info) {
  std::string text = std::string(info.param.row->name) + "_" + std::string(name(info.param.row->isa)) + "_" +
                     std::string(name(info.param.pass)) + "_" + std::string(name(info.param.layout));
  if (info.param.row->caps_process) text += "_library";
  return text;
}

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const Implementation* row : implementations())
    for (Pass pass : {Pass::data, Pass::weights})
      for (Layout layout : {Layout::native, Layout::nchw, Layout::nhwc}) all.push_back({row, pass, layout});
  return all;
}

/// What happened to the problems given to each row.
struct Tally {
  int passed = 0;
  std::map<std::string, int> skipped;  // by reason
};
std::map<std::string, Tally>& tallies() {
  static std::map<std::string, Tally> all;
  return all;
}

/// The right answers, each computed once.
const Reference& reference(const Problem& problem, Pass pass, Data data, double growth) {
  static std::map<std::tuple<std::string, Pass, Data, double>, Reference> all;
  const std::tuple key(to_string(problem), pass, data, growth);
  const auto found = all.find(key);
  return (found != all.end() ? found : all.try_emplace(key, problem, pass, data, growth, kSeed).first)->second;
}

class Implementations : public testing::TestWithParam<Case> {};

TEST_P(Implementations, MatchTheDefinition) {
  const auto [row, pass, layout] = GetParam();
  Tally& tally = tallies()[title(*row)];
  if (const Support here = runs_here(*row); !here) {
    tally.skipped[here.reason]++;
    GTEST_SKIP() << here.reason;
  }
  if (row->caps_process && row->isa != process_cap()) {
    tally.skipped["capped library, run in a process of its own"]++;
    GTEST_SKIP() << "runs in a process with CONVBWD_TEST_CAP=" << name(row->isa);
  }
  for (const Problem& problem : awkward_problems()) {
    const std::string where = std::string(name(pass)) + " " + to_string(problem);
    if (const Support support = row->supports(problem, pass); !support) {
      tally.skipped[support.reason]++;
      continue;
    }
    const Reference& integers = reference(problem, pass, Data::integers, row->integer_growth);
    const Reference& reals = reference(problem, pass, Data::normal, row->integer_growth);
    ASSERT_TRUE(integers.inputs().exact) << "no whole numbers small enough for " << where;
    for (int threads : row->threaded ? std::vector<int>{1, 3} : std::vector<int>{1}) {
      const std::size_t offset = threads == 1 ? sizeof(float) : 0;
      Session session(*row, problem, pass, {threads, layout, {}}, offset);
      for (const Reference* reference : {&integers, &reals}) {
        const Verdict verdict = prove(session, *reference);
        ASSERT_TRUE(verdict) << title(*row) << " " << where << " threads " << threads << ": " << verdict.wrong;
        ASSERT_GT(verdict.checked, 0);
      }
      const Accuracy accuracy = accuracy_of(session, reals);
      ASSERT_TRUE(accuracy.worst <= 1) << title(*row) << " " << where << ": an error of " << accuracy.worst
                                       << " times what rounding can do";
    }
    tally.passed++;
  }
  EXPECT_GT(tally.passed, 0) << title(*row) << " supports none of the problems";
}

INSTANTIATE_TEST_SUITE_P(, Implementations, testing::ValuesIn(cases()), test_name);

TEST(Registry, EveryFolderHasItsLineAndEveryLineItsRows) {
  for (const Listed& entry : listed()) {
    EXPECT_NE(entry.rows == nullptr, entry.not_built.empty()) << entry.folder;
    if (entry.rows) {
      EXPECT_GT(entry.rows->count, 0u) << entry.folder;
    }
  }
  for (const auto& folder : std::filesystem::directory_iterator(CONVBWD_IMPLS_DIR)) {
    if (!folder.is_directory() || folder.path().filename() == "core") continue;
    const auto entries = listed();
    EXPECT_TRUE(std::any_of(entries.begin(), entries.end(),
                            [&](const Listed& entry) { return entry.folder == folder.path().filename().string(); }))
        << folder.path().filename() << " has no conv_impl line";
  }
}

TEST(Registry, EveryInstructionSetOfThisCpuHasRows) {
  for (Isa isa : kIsas) {
    if (!cpu_runs(isa)) continue;
    const auto rows = implementations();
    EXPECT_TRUE(std::any_of(rows.begin(), rows.end(), [isa](const Implementation* row) { return row->isa == isa; }))
        << name(isa);
  }
}

TEST(Registry, NamesAreTheFieldsOfATableKey) {
  std::map<std::string, int> seen;
  for (const Implementation* row : implementations()) {
    EXPECT_EQ(seen[title(*row)]++, 0) << title(*row) << " is there twice";
    for (char letter : row->name)
      EXPECT_TRUE(std::islower(letter) || std::isdigit(letter) || letter == '_') << row->name;
    EXPECT_FALSE(row->idea.empty());
    EXPECT_GT(row->error_constant, 0);
    EXPECT_GE(row->integer_growth, 1);
  }
}

TEST(Registry, RowsTakePartWithinTheCapsOnly) {
  const Problem problem{};
  const Isa best = best_isa();
  for (const Implementation* row : implementations()) {
    const std::string isa(name(row->isa));
    const auto reason = [&](Isa cap) { return takes_part(*row, problem, Pass::data, {cap, best}).reason; };
    if (!cpu_runs(row->isa)) {
      EXPECT_EQ(reason(best), "this CPU does not run " + isa) << title(*row);
      continue;
    }
    if (row->isa != Isa::baseline) {
      EXPECT_EQ(reason(Isa::baseline), "needs " + isa + ", the cap is baseline") << title(*row);
    }
    // A library asked for by a lower title would run at the process's cap and be timed under a wrong name.
    if (row->caps_process && row != best_within(row->name, best)) {
      EXPECT_NE(reason(best).find("run with --isa=" + isa + " alone"), std::string::npos) << title(*row);
    } else {
      EXPECT_EQ(reason(best), row->supports(problem, Pass::data).reason) << title(*row);
    }
  }
}

class Summary : public testing::Environment {
  void TearDown() override {
    for (const auto& [row, tally] : tallies()) {
      std::cout << "[  tally   ] " << row << ": " << tally.passed << " passed";
      for (const auto& [reason, count] : tally.skipped) std::cout << ", " << count << " skipped (" << reason << ")";
      std::cout << "\n";
    }
  }
};
const auto* summary = testing::AddGlobalTestEnvironment(new Summary);

}  // namespace
}  // namespace convbwd

int main(int argc, char** argv) {
  if (std::getenv("CONVBWD_TEST_CAP") && convbwd::process_cap() >= convbwd::best_isa()) {
    std::cout << "no cap to this CPU: libraries run so without one, which is tested by itself\n";
    return 77;  // skipped
  }
  convbwd::support::set_environment_and_reexec(argv, convbwd::process_cap());
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
