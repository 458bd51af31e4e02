// SPDX-License-Identifier: Apache-2.0
//
// Which outputs an image position is read by. Position h meets output p through tap r where
//
//     p * stride + r * dilation = h + pad
//
// The first tap that meets an output, if any does, is below stride / g with g = gcd(stride, dilation); from there on
// every (stride / g)-th tap does, and from one of them to the next p goes down by dilation / g. All positions that are
// equal modulo the stride have these taps in common: they are a phase. (With stride 2 and a 3-wide filter one phase has
// the outer two taps, the other the middle one; with dilation 2 as well one has all three and the other none.)
#include "core/phases.h"

#include <algorithm>
#include <numeric>

namespace convbwd {
namespace {

/// The taps t < taps with  begin <= start - t * lag < end.
Range taps_meeting(Dim start, Dim lag, Dim taps, Range outputs) {
  const Dim first = start < outputs.end ? 0 : ceil_div(start - outputs.end + 1, lag);
  const Dim last = floor_div(start - outputs.begin, lag);
  return {first, std::min(taps, last + 1)};
}

}  // namespace

Range Phase::taps_at(Dim i, Dim outputs) const { return taps_meeting(i + lead, lag, taps, {0, outputs}); }

std::vector<Phase> phases_of(Dim extent, Dim outputs, Dim filter, Dim stride, Dim dilation, Dim pad) {
  const Dim step = stride / std::gcd(stride, dilation), lag = dilation / std::gcd(stride, dilation);
  std::vector<Phase> phases;
  for (Dim first = 0; first < std::min(stride, extent); ++first) {
    Phase phase{first, ceil_div(extent - first, stride), 0, 0, step, 0, lag};
    Dim tap = 0;
    while (tap < std::min(step, filter) && (first + pad - tap * dilation) % stride != 0) ++tap;
    if (tap < std::min(step, filter)) {
      const Dim lead = (first + pad - tap * dilation) / stride;
      const Range used = taps_meeting(lead, lag, ceil_div(filter - tap, step), {1 - phase.count, outputs});
      if (used.size() > 0) {
        phase.taps = used.end - used.begin;
        phase.first_tap = tap + used.begin * step;
        phase.lead = lead - used.begin * lag;
      }
    }
    phases.push_back(phase);
  }
  return phases;
}

}  // namespace convbwd
