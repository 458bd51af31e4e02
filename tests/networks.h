// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "core/descriptor.h"
#include "core/workload.h"

namespace convbwd {

inline std::filesystem::path shipped_file(const std::string& name) {
  return std::filesystem::path(CONVBWD_WORKLOAD_DIR) / (name + ".txt");
}

/// A layer with square images and filters on one image, as publications write them.
struct Square {
  Dim C, H, K, R;
  Dim stride = 1, G = 1, dilation = 1;
  Dim pad = dilation * (R - 1) / 2;
};

constexpr Dim outputs_of(Dim extent, Dim filter, Dim stride, Dim dilation, Dim pad) {
  return (extent + 2 * pad - dilation * (filter - 1) - 1) / stride + 1;
}

/// What a network consists of, equal layers merged.
class Network {
 public:
  void add_problem(const Problem& problem) {
    ++layers[to_string(problem)];
    ++convolutions;
    macs += problem.N * problem.K * problem.P * problem.Q * problem.C / problem.G * problem.R * problem.S;
  }

  /// Returns the extent of the layer's output.
  Dim add(const Square& layer) {
    const auto& [C, H, K, R, stride, G, dilation, pad] = layer;
    const Dim P = outputs_of(H, R, stride, dilation, pad);
    add_problem(Problem{1, G, C, H, H, K, R, R, P, P, stride, stride, dilation, dilation, pad, pad});
    return P;
  }

  std::map<std::string, Dim> layers;  // descriptor, how often
  Dim convolutions = 0, macs = 0;
};

inline std::string with_commas(Dim number) {
  std::string text = std::to_string(number);
  for (Dim place = std::ssize(text) - 3; place > 0; place -= 3) text.insert(static_cast<std::size_t>(place), ",");
  return text;
}

/// The shipped file has exactly the network's layers, equal ones on one line, and its head states the sums.
inline void expect_shipped(const std::string& name, const Network& network, Dim macs) {
  EXPECT_EQ(network.macs, macs);
  const Workload workload = read_workload(shipped_file(name));
  ASSERT_TRUE(workload) << workload.error;
  EXPECT_TRUE(workload.skipped.empty());
  std::map<std::string, Dim> layers;
  for (const Layer& layer : workload.layers) {
    const std::string problem = to_string(layer.problem);
    EXPECT_TRUE(layers.emplace(problem, layer.count).second) << layer.name << " repeats " << problem;
    EXPECT_TRUE(network.layers.contains(problem)) << layer.name << " is not in the network: " << problem;
  }
  for (const auto& [problem, count] : network.layers) EXPECT_EQ(layers[problem], count) << problem;

  std::ifstream file(shipped_file(name));
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  EXPECT_NE(text.find("# " + std::to_string(network.convolutions) + " convolutions, " + with_commas(network.macs) +
                      " multiply-adds"),
            text.npos);
}

}  // namespace convbwd
