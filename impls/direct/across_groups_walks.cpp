// SPDX-License-Identifier: Apache-2.0
//
// A phase (phases.h) still has the dilation in it: its positions see every lag-th output. Those that are equal modulo
// the lag see the same outputs, the others see none of these.
#include "direct/across_groups_walks.h"

#include <algorithm>

#include "core/phases.h"

namespace convbwd::direct {

std::vector<Walk> walks_of(Dim extent, Dim outputs, Dim filter, Dim stride, Dim dilation, Dim pad, Dim most_taps) {
  std::vector<Walk> walks;
  for (const Phase& phase : phases_of(extent, outputs, filter, stride, dilation, pad)) {
    const Parts chunks = phase.taps ? parts_of_at_most(most_taps, phase.taps) : Parts{0, 1};
    for (Dim i = 0; i < std::min(phase.lag, phase.count); ++i) {
      const Dim output = i + phase.lead, y_first = (output % phase.lag + phase.lag) % phase.lag;
      for (Dim chunk = 0; chunk < chunks.count; ++chunk) {
        const Range taps = chunks.part(chunk);
        walks.push_back({.x_first = phase.first + i * stride,
                         .x_step = phase.lag * stride,
                         .x_count = ceil_div(phase.count - i, phase.lag),
                         .y_first = y_first,
                         .y_step = phase.lag,
                         .y_count = y_first < outputs ? ceil_div(outputs - y_first, phase.lag) : 0,
                         .lead = (output - y_first) / phase.lag - taps.begin,
                         .first_tap = phase.first_tap + taps.begin * phase.tap_step,
                         .tap_step = phase.tap_step,
                         .taps = taps.size(),
                         .first = chunk == 0});
      }
    }
  }
  return walks;
}

}  // namespace convbwd::direct
