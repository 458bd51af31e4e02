// SPDX-License-Identifier: Apache-2.0
#include "support/workloads.h"

#include <algorithm>

#include "core/descriptor.h"
#include "support/refuse.h"

namespace convbwd::support {
namespace {

namespace fs = std::filesystem;

fs::path shipped_folder() {
  std::error_code code;
  if (fs::is_directory(CONVBWD_WORKLOAD_DIR, code)) return CONVBWD_WORKLOAD_DIR;
  return fs::read_symlink("/proc/self/exe", code).parent_path() / "workloads";
}

}  // namespace

std::vector<std::string> shipped_workloads() {
  std::vector<std::string> names;
  std::error_code code;
  for (const auto& entry : fs::directory_iterator(shipped_folder(), code))
    if (entry.path().extension() == ".txt") names.push_back(entry.path().stem().string());
  std::sort(names.begin(), names.end());
  return names;
}

Workload workload_or_exit(const std::string& name_or_file) {
  const std::vector<std::string> names = shipped_workloads();
  const bool shipped = std::find(names.begin(), names.end(), name_or_file) != names.end();
  Workload workload = read_workload(shipped ? shipped_folder() / (name_or_file + ".txt") : fs::path(name_or_file));
  if (workload) return workload;
  std::string complaint = "workload " + excerpt(name_or_file) + ": " + workload.error;
  if (std::error_code code; !shipped && !fs::exists(name_or_file, code)) {
    complaint += ", and none is shipped under that name; there are:";
    for (const std::string& name : names) complaint += " " + name;
  }
  refuse(complaint);
}

std::vector<Workload> workloads_or_exit(const std::vector<std::string>& names_or_files,
                                        const std::vector<std::string>& descriptors, Dim batch) {
  std::vector<Workload> workloads;
  for (const std::string& name : names_or_files) workloads.push_back(workload_or_exit(name));
  Workload bare{.name = "problem"};
  for (const std::string& text : descriptors) {
    const Descriptor descriptor = parse_descriptor(text);
    if (!descriptor) refuse("--problem: " + descriptor.error);
    const std::string name = descriptor.name.empty() ? "" : escaped(descriptor.name);
    bare.layers.push_back({.name = name, .count = descriptor.count, .problem = descriptor.problem});
  }
  if (!bare.layers.empty()) workloads.push_back(bare);
  for (Workload& workload : workloads)
    for (Layer& layer : workload.layers) {
      if (batch) layer.problem.N = batch;
      if (layer.name.empty()) layer.name = escaped(to_string(layer.problem));
      if (const std::string fault = fault_of(layer.problem); !fault.empty())
        refuse(workload.name + ":" + layer.name + ": " + fault);
    }
  return workloads;
}

}  // namespace convbwd::support
