// SPDX-License-Identifier: Apache-2.0
#include "core/workload.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <random>
#include <set>

#include "core/descriptor.h"

namespace convbwd {
namespace {

namespace fs = std::filesystem;

std::string text_of(const fs::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(ShippedWorkloads, AreReadAsWritten) {
  for (const auto& entry : fs::directory_iterator(CONVBWD_WORKLOAD_DIR)) {
    const Workload workload = read_workload(entry.path());
    EXPECT_TRUE(workload) << workload.name << ": " << workload.error;
    EXPECT_TRUE(workload.skipped.empty()) << workload.name;
    const std::string text = text_of(entry.path());
    std::set<std::string> seen;
    for (const Layer& layer : workload.layers) {
      const std::string name = workload.name + ":" + layer.name;
      EXPECT_TRUE(seen.insert(to_string(layer.problem)).second) << name << " repeats a layer";
      const bool found = text.find('"' + name + '*') != text.npos || text.find('"' + name + '"') != text.npos;
      EXPECT_TRUE(found) << name << " is spelled otherwise";
    }
  }
}

TEST(ShippedWorkloads, AwkwardHasEveryKind) {
  const Workload workload = read_workload(fs::path(CONVBWD_WORKLOAD_DIR) / "awkward.txt");
  ASSERT_TRUE(workload) << workload.error;
  const auto some = [&](auto property) {
    return std::any_of(workload.layers.begin(), workload.layers.end(),
                       [&](const Layer& layer) { return property(layer.problem); });
  };
  EXPECT_TRUE(some([](const Problem& p) { return p.stride_h > p.R; }));
  EXPECT_TRUE(some([](const Problem& p) { return p.pad_top >= p.R; }));
  EXPECT_TRUE(some([](const Problem& p) { return p.pad_bottom() < 0; }));
  EXPECT_TRUE(some([](const Problem& p) { return p.pad_bottom() > p.pad_top; }));
  EXPECT_TRUE(some([](const Problem& p) { return p.P * p.Q == 1; }));
  EXPECT_TRUE(some([](const Problem& p) { return p.G > 1 && p.C_per_group() > 1; }));
  EXPECT_TRUE(some([](const Problem& p) { return p.G == p.C && p.G == p.K && p.G > 1; }));
  EXPECT_TRUE(some([](const Problem& p) { return p.dilation_h > 1 && p.stride_h > 1; }));
  EXPECT_TRUE(some([](const Problem& p) { return p.R != p.S; }));
}

TEST(Workload, CommentsOptionsAndSkips) {
  const Workload workload = parse_workload("net", R"(
# a comment ic3
--reset --dir=BWD_D,BWD_W   --stag=nhwc # as benchdnn takes them
ic3ih5oc4kh3n"net:first*2"  ic3ih6oc4kh3n"other:second"
	--mb=7
ic3ih7oc4kh3n"a name with # and spaces"
--dt=u8:s8:u8
ic3ih8oc4kh3n"integers"
--cfg=bf16bf16bf16,f32_wino
ic3iw8oc4kw3n"flat"
--batch=shapes_3d
--reset
mb9ic3ih9oc4kh3)");
  ASSERT_TRUE(workload) << workload.error;
  ASSERT_EQ(workload.layers.size(), 4u);
  EXPECT_EQ(workload.layers[0].name, "first");
  EXPECT_EQ(workload.layers[0].count, 2);
  EXPECT_EQ(workload.layers[0].problem.N, 2);
  EXPECT_EQ(workload.layers[1].name, "other_second");
  EXPECT_EQ(workload.layers[2].name, "a_name_with___and_spaces");
  EXPECT_EQ(workload.layers[2].problem.N, 7);
  EXPECT_EQ(workload.layers[3].name, "mb9ic3ih9oc4oh7kh3ph0");
  EXPECT_EQ(workload.layers[3].problem.N, 9);
  ASSERT_EQ(workload.skipped.size(), 3u);
  EXPECT_EQ(workload.skipped[0].line, 8);
  EXPECT_EQ(workload.skipped[0].reason, "type u8:s8:u8: only f32");
  EXPECT_EQ(workload.skipped[1].reason, "1-D convolution (no ih and kh)");
  EXPECT_EQ(workload.skipped[2].text, "--batch=shapes_3d");
}

TEST(Workload, WindowsLinesAndNoFinalNewline) {
  const Workload workload = parse_workload("net", "ic3ih5oc4kh3nfirst\r\n\r\n  ic3ih5oc4kh3nsecond");
  ASSERT_TRUE(workload) << workload.error;
  EXPECT_EQ(workload.layers[0].name, "first");
  EXPECT_EQ(workload.layers[1].name, "second");
}

TEST(Workload, NamesAreEscapedAndUnique) {
  const Workload workload = parse_workload("<b>\xff", R"(ic3ih5oc4kh3n"a/b:c" ic3ih6oc4kh3n"a.b-c" ic3ih7oc4kh3n"a_b_c"
      ic3ih8oc4kh3n"a_b_c_2" ic3ih9oc4kh3n"<script>" ic3ih9oc4kh3n"a_b_c" ic3ih5oc4kh3 ic3ih5oc4kh3)");
  ASSERT_TRUE(workload) << workload.error;
  EXPECT_EQ(workload.name, "_b__");
  std::set<std::string> names;
  for (const Layer& layer : workload.layers) {
    EXPECT_TRUE(names.insert(layer.name).second) << layer.name;
    EXPECT_EQ(layer.name, escaped(layer.name));
  }
  EXPECT_EQ(workload.layers[0].name, "a_b_c");
  EXPECT_EQ(workload.layers[1].name, "a.b-c");
  EXPECT_EQ(workload.layers[2].name, "a_b_c_2");
  EXPECT_EQ(workload.layers[4].name, "_script_");
}

TEST(Workload, LongNamesStayUniqueWhenCut) {
  const std::string name(300, 'a');
  const Workload workload = parse_workload("", "ic3ih5oc4kh3n" + name + " ic3ih6oc4kh3n" + name);
  ASSERT_EQ(workload.layers.size(), 2u) << workload.error;
  EXPECT_NE(workload.layers[0].name, workload.layers[1].name);
  for (const Layer& layer : workload.layers) EXPECT_EQ(layer.name, escaped(layer.name));
}

TEST(Workload, RefusalsNameLineAndField) {
  struct Case {
    std::string text, error;
  };
  for (const auto& [text, error] :
       {Case{"ic3ih5oc4kh3\n\nic3ih0oc4kh3", "line 3: ih is 0, must be at least 1"},
        Case{"--mb=two\n", "line 1: --mb needs a whole number, not \"two\""},
        Case{"--mb=-1", "line 1: --mb needs a whole number, not \"-1\""},
        Case{"--mb=2147483648 ic3ih5oc4kh3", "line 1: --mb: N (mb) is 2147483648, too large"},
        Case{"hello world", "line 1: unknown field at \"hello\""},
        Case{std::string("ic3\0ih5", 7), "byte 3 is 0: not a text file"}, Case{"", "there is no layer in it"},
        Case{"# nothing\n--reset\n", "there is no layer in it"}})
    EXPECT_EQ(parse_workload("net", text).error, error);
}

TEST(Workload, FilesThatAreNone) {
  const fs::path folder = fs::path(testing::TempDir()) / ("convbwd_workload_test." + std::to_string(getpid()));
  fs::create_directories(folder);
  EXPECT_EQ(read_workload(folder / "absent.txt").error, "no such file");
  EXPECT_EQ(read_workload(folder).error, "not a regular file");
  EXPECT_EQ(read_workload("/dev/zero").error, "not a regular file");
  std::ofstream(folder / "large.txt") << std::string(kMostWorkloadBytes + 1, '\n');
  EXPECT_EQ(read_workload(folder / "large.txt").error, "larger than 4 MiB");
  std::ofstream(folder / "my net.txt") << "ic3ih5oc4kh3";
  EXPECT_EQ(read_workload(folder / "my net.txt").name, "my_net");
  fs::remove_all(folder);
}

TEST(Workload, MutationsOfShippedFilesAreReadOrRefused) {
  const std::string good = text_of(fs::path(CONVBWD_WORKLOAD_DIR) / "awkward.txt");
  std::mt19937_64 random(5);
  int refused = 0;
  for (int round = 0; round < 500; ++round) {
    std::string text = good;
    for (auto edits = 1 + random() % 4; edits > 0; --edits) text[random() % text.size()] = static_cast<char>(random());
    const Workload workload = parse_workload("awkward", text);
    refused += !workload;
    EXPECT_LT(workload.error.size(), 140u);
    for (const Layer& layer : workload.layers) ASSERT_EQ(fault_of(layer.problem), "");
  }
  EXPECT_GT(refused, 100);
}

}  // namespace
}  // namespace convbwd
