// SPDX-License-Identifier: Apache-2.0
//
// A descriptor is refused in one short line, or is a sound problem whose canonical spelling means the same.
#include "core/descriptor.h"
#include "fuzz.h"

using namespace convbwd;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Descriptor descriptor = parse_descriptor({reinterpret_cast<const char*>(data), size});
  must(one_short_line(descriptor.error), "errors are one short line");
  if (!descriptor) return 0;
  must(fault_of(descriptor.problem).empty(), "accepted problems are sound");
  must(descriptor.count >= 1, "a layer occurs at least once");
  const std::string spelling = to_string(descriptor.problem);
  const Descriptor again = parse_descriptor(spelling);
  must(again && again.problem == descriptor.problem, "the canonical spelling means the same problem");
  must(to_string(again.problem) == spelling, "there is one canonical spelling");
  const Problem& problem = descriptor.problem;
  if (std::min(problem.P, problem.R) < 1000 && std::min(problem.Q, problem.S) < 1000)  // counting takes that many steps
    must(problem.macs() <= problem.nominal_macs(), "taps inside the image are some of all taps");
  return 0;
}
