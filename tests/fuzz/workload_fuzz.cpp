// SPDX-License-Identifier: Apache-2.0
//
// A workload is refused in one short line that names the line, or all it says is sound and fit to be shown.
#include <set>

#include "core/descriptor.h"
#include "core/workload.h"
#include "fuzz.h"

using namespace convbwd;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Workload workload = parse_workload("fuzzed", {reinterpret_cast<const char*>(data), size});
  must(one_short_line(workload.error), "errors are one short line");
  must(!workload || !workload.layers.empty() || !workload.skipped.empty(), "an empty workload is refused");
  std::set<std::string> names;
  for (const Layer& layer : workload.layers) {
    must(escaped(layer.name) == layer.name, "names are escaped");
    must(names.insert(layer.name).second, "names are unique");
    must(layer.count >= 1, "a layer occurs at least once");
    must(fault_of(layer.problem).empty(), "accepted problems are sound");
  }
  for (const SkippedLine& line : workload.skipped) {
    must(line.line >= 1, "skipped lines are counted from 1");
    must(one_short_line(line.text) && one_short_line(line.reason), "skips are told in one short line");
    must(!line.reason.empty(), "skips have a reason");
  }
  return 0;
}
