// SPDX-License-Identifier: Apache-2.0
#include "core/workload.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <fstream>
#include <numeric>
#include <random>
#include <set>

#include "core/descriptor.h"

namespace convbwd {
namespace {

namespace fs = std::filesystem;

Workload shipped(const std::string& name) { return read_workload(fs::path(CONVBWD_WORKLOAD_DIR) / (name + ".txt")); }

// --- What the networks' publications say, independent of the files -------------------------------------------------

/// Multiply-adds of a layer with square images and filters on one image.
Dim macs(Dim channels, Dim filters, Dim filter, Dim output) {
  return channels * filters * filter * filter * output * output;
}

struct Network {
  Dim convolutions = 0, macs = 0;
  void add(Dim channels, Dim filters, Dim filter, Dim output) {
    ++convolutions;
    macs += convbwd::macs(channels, filters, filter, output);
  }
};

/// He et al. 2015, table 1, 50 layers: stages of bottleneck blocks (width, blocks, output); the first block of a stage
/// has a projection. In v1.5 the stride is on the 3x3, so the first 1x1 of a stage still sees the larger image.
Network resnet50_v1_5() {
  struct Stage {
    Dim width, blocks, output;
  };
  Network network;
  network.add(3, 64, 7, 112);
  Dim channels = 64, image = 56;
  for (const auto& [width, blocks, output] : {Stage{64, 3, 56}, Stage{128, 4, 28}, Stage{256, 6, 14}, Stage{512, 3, 7}})
    for (Dim block = 0; block < blocks; ++block) {
      network.add(channels, width, 1, image);
      network.add(width, width, 3, output);
      network.add(width, 4 * width, 1, output);
      if (block == 0) network.add(channels, 4 * width, 1, output);
      channels = 4 * width;
      image = output;
    }
  return network;
}

/// Simonyan & Zisserman 2014, table 1, column D: filters of each block; pooling halves the image after it.
Network vgg16() {
  Network network;
  Dim channels = 3, image = 224;
  for (const auto& block : {std::vector<Dim>{64, 64}, {128, 128}, {256, 256, 256}, {512, 512, 512}, {512, 512, 512}}) {
    for (Dim filters : block) {
      network.add(channels, filters, 3, image);
      channels = filters;
    }
    image /= 2;
  }
  return network;
}

/// Krizhevsky 2014, one tower: filters, filter size, output.
Network alexnet() {
  struct Row {
    Dim filters, filter, output;
  };
  Network network;
  Dim channels = 3;
  for (const auto& [filters, filter, output] :
       {Row{64, 11, 55}, Row{192, 5, 27}, Row{384, 3, 13}, Row{256, 3, 13}, Row{256, 3, 13}}) {
    network.add(channels, filters, filter, output);
    channels = filters;
  }
  return network;
}

void expect_same(const Workload& workload, const Network& network, Dim published_macs) {
  ASSERT_TRUE(workload) << workload.error;
  EXPECT_TRUE(workload.skipped.empty());
  Dim convolutions = 0;
  double sum = 0;
  for (const Layer& layer : workload.layers) {
    EXPECT_EQ(layer.problem.N, 1) << layer.name;
    convolutions += layer.count;
    sum += static_cast<double>(layer.count) * layer.problem.nominal_macs();
  }
  EXPECT_EQ(network.macs, published_macs);
  EXPECT_EQ(convolutions, network.convolutions);
  EXPECT_EQ(std::llround(sum), network.macs);
}

TEST(ShippedWorkloads, ResNet50) {
  expect_same(shipped("resnet50"), resnet50_v1_5(), 4'087'136'256);
  const Workload workload = shipped("resnet50");
  EXPECT_EQ(workload.name, "resnet50");
  EXPECT_EQ(workload.layers.front().name, "conv1");
  for (const Layer& layer : workload.layers) {
    const bool strided = layer.problem.stride_h == 2;
    const bool of_a_stage = layer.name.ends_with("a_branch2b") || layer.name.ends_with("a_branch1");
    EXPECT_EQ(strided, layer.name == "conv1" || (of_a_stage && layer.name != "res2a_branch2b")) << layer.name;
  }
}
TEST(ShippedWorkloads, Vgg16) { expect_same(shipped("vgg16"), vgg16(), 15'346'630'656); }
TEST(ShippedWorkloads, AlexNet) { expect_same(shipped("alexnet"), alexnet(), 655'566'528); }

TEST(ShippedWorkloads, EqualLayersAreMerged) {
  for (const char* name : {"resnet50", "vgg16", "alexnet", "awkward"}) {
    std::set<std::string> seen;
    for (const Layer& layer : shipped(name).layers)
      EXPECT_TRUE(seen.insert(to_string(layer.problem)).second) << name << ":" << layer.name;
  }
}

TEST(ShippedWorkloads, AwkwardHasEveryKind) {
  const Workload workload = shipped("awkward");
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

// --- The file's syntax
// ------------------------------------------------------------------------------------------------

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
  std::ifstream file(fs::path(CONVBWD_WORKLOAD_DIR) / "awkward.txt");
  const std::string good((std::istreambuf_iterator<char>(file)), {});
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
