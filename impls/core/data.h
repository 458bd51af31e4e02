// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "core/problem.h"
#include "core/tensor.h"

namespace convbwd {

/// `integers`: whole numbers, so small (at first -4...4, thinned out where sums are long) that every product and
/// partial sum is exact in float. `normal`: real numbers, close to the standard normal distribution. The others are
/// made from those to be hard on an algorithm: half of them zero and none negative, as after a ReLU (`rectified`);
/// spread over seven decimal orders of magnitude (`wide`); +1000 and -1000 in turn plus a normal number, so that sums
/// cancel
/// (`cancelling`); and so small that most of them are denormal (`denormal`), which nothing here flushes to zero.
enum class Data { integers, normal, rectified, wide, cancelling, denormal };

/// The tensors a pass reads, in NCHW and K,C/G,R,S. The same seed gives the same numbers for every layout.
struct Inputs {
  std::vector<float> dy, other;  // other: w for the data gradient, x for the weight gradient
  bool exact = false;            // no intermediate of any algorithm within `growth` exceeds 2^24

  View4<const float> view(const Problem& problem, Role role) const;
};

/// `growth`: how far an algorithm's intermediates may exceed sum |a*b| (Implementation::integer_growth, the largest of
/// those to be compared). For integers, values are thinned until growth * sum |a*b| <= 2^24 is certain for every output
/// element; `exact` says whether that succeeded.
Inputs make_inputs(const Problem& problem, Pass pass, Data data, double growth, std::uint64_t seed);

/// For each channel of the output (c of dx, k of dw) an upper bound of sum |a*b| over its elements.
std::vector<double> magnitude_bounds(const Problem& problem, Pass pass, const Inputs& inputs);

/// The largest of them.
double magnitude_bound(const Problem& problem, Pass pass, const Inputs& inputs);

/// Element by element, whatever the strides; extents are equal.
void copy(View4<const float> from, View4<float> to);

}  // namespace convbwd
