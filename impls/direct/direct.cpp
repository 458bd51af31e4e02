// SPDX-License-Identifier: Apache-2.0
//
// direct: the definition at the roof of the machine, for every shape. Nothing is lowered, no product is with a zero
// that a stride put there, and each class of shapes has kernels whose vectors are full:
//
//   dense.cpp          lanes are channels; the sums of a tile of outputs stay in registers
//   across_groups.cpp  lanes are groups: depthwise layers, and groups of a few channels
//   few_channels.cpp   lanes are pixels or filters: the first layer, whose image has up to four channels
//   pointwise_data.cpp lanes are pixels: dx of 1x1 filters between nchw tensors, which dense.cpp hands over
//
// One source for all instruction sets, through core/simd.h.
#include <algorithm>

#include "core/plain_plan.h"
#include "core/simd.h"
#include "direct/plans.h"

namespace convbwd::direct {
namespace {

// Up to half a vector of channels in a group, vectors of channels are mostly zeros. dx of a whole vector takes 1.1
// loads an FMA with channels as lanes and 0.6 with groups, if those fill vectors: 8 channels 1.15 times as fast, 1.2
// with stride 2 (Zen 3, AVX2; not measured with 16 lanes).
bool has_small_groups(const Problem& problem, Pass pass) {
  const Dim most = std::max(problem.C_per_group(), problem.K_per_group());
  const bool whole = simd::kWidth == 8 && problem.G % simd::kWidth == 0 && pass == Pass::data;
  return problem.G > 1 && most <= (whole ? simd::kWidth : simd::kWidth / 2);
}

bool has_few_channels(const Problem& problem) { return problem.G == 1 && problem.C <= 4; }

std::unique_ptr<Plan> plan(const Problem& problem, Pass pass, const PlanOptions& options) {
  auto packed = has_small_groups(problem, pass) ? across_groups(problem, pass, options.threads)
                : has_few_channels(problem)     ? few_channels(problem, pass, options)
                                                : dense(problem, pass, options);
  return options.layout == Layout::native ? std::move(packed) : packing_inside(std::move(packed), pass);
}

constexpr Implementation rows[] = {{
    .name = "direct",
    .idea = "direct, a kernel for each class of shapes, sums in registers, full vectors",
    .isa = kCompiledIsa,
    .threaded = true,
    .error_constant = 1.5,
    .supports = supports_all,
    .plan = plan,
}};

}  // namespace
}  // namespace convbwd::direct

CONVBWD_EXPORT_ROWS(convbwd::direct::rows);
