// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "core/problem.h"

namespace convbwd {

struct Layer {
  std::string name;  // escaped, unique within its workload
  Dim count = 1;     // how often it occurs in the network
  Problem problem;
};

/// A line that describes no layer of ours, and why.
struct SkippedLine {
  Dim line = 0;      // from 1
  std::string text;  // its beginning
  std::string reason;
};

/// The layers of a network. The file is what benchdnn reads as --batch=FILE: words separated by white space, `#` begins
/// a comment. A word is a descriptor (core/descriptor.h) or an option that holds from there on:
///     --mb=N        replaces the batch; 0: as each descriptor says
///     --dt= --cfg=  layers of types other than f32 are skipped
///     --batch=      another file, which is skipped
///     --reset       all options as at the beginning
/// Every other option is ignored: directions, tags, post-operations and the like do not change a layer's gradients.
struct Workload {
  std::string name;  // escaped stem of the file's name
  std::vector<Layer> layers;
  std::vector<SkippedLine> skipped;
  std::string error;  // "line 12: ih is 0, must be at least 1"; empty: all is well

  explicit operator bool() const { return error.empty(); }
};

/// At most this much is read of a file.
inline constexpr std::size_t kMostWorkloadBytes = 4 << 20;

Workload parse_workload(std::string_view name, std::string_view text);
Workload read_workload(const std::filesystem::path& file);

/// Letters outside [A-Za-z0-9_.-] become `_`, so that the name can be part of a benchmark's or a file's; never empty,
/// and cut where it is very long.
std::string escaped(std::string_view name);

}  // namespace convbwd
