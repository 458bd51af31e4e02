// SPDX-License-Identifier: Apache-2.0
//
// Which outputs an image position is read by. Position h meets output p through tap r where
//
//     p * stride + r * dilation = h + pad
//
// With g = gcd(stride, dilation) that needs h + pad to be a multiple of g, up to the positions r = 0 cannot tell apart;
// then every (stride / g)-th tap meets an output, and from one such tap to the next p goes down by dilation / g.
#include "avx2/phases.h"

#include <algorithm>
#include <numeric>

namespace convbwd::avx2 {
namespace {

constexpr Dim floor_div(Dim a, Dim b) { return a >= 0 ? a / b : -ceil_div(-a, b); }

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
      if (!used.empty()) {
        phase.taps = used.end - used.begin;
        phase.first_tap = tap + used.begin * step;
        phase.lead = lead - used.begin * lag;
      }
    }
    phases.push_back(phase);
  }
  return phases;
}

Problem with_joined_rows(const Problem& problem) {
  const bool rows_do_not_matter = problem.R * problem.S * problem.stride_h * problem.stride_w == 1 &&
                                  problem.P == problem.H && problem.Q == problem.W &&
                                  problem.pad_top + problem.pad_left == 0;
  Problem joined = problem;
  constexpr Dim kColumns = 128;
  for (Dim rows = rows_do_not_matter ? std::min(problem.H, kColumns / problem.W) : 0; rows > 1; --rows)
    if (problem.H % rows == 0) {
      joined.H = joined.P = problem.H / rows;
      joined.W = joined.Q = problem.W * rows;
      break;
    }
  return joined;
}

}  // namespace convbwd::avx2
