// SPDX-License-Identifier: Apache-2.0
//
// winograd: fewer multiplications, by interpolation (Toom, Cook; Winograd, Arithmetic Complexity of Computations, 1980;
// Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2016; the weight gradient is their algorithm
// transposed). Derivation in README.md.
//
//   dx tile = A' [ sum over k     of (G w~ G') * (B' dy B) ] A     w~: filter rotated by 180 degrees; 4 x 4 tiles of dy
//   overlap dw      = G' [ sum over tiles of (B' x B) * (A dy A')  ] G     2 x 2 tiles of dy do not
//
// The sums are matrix products, one for each of the 16 elements of a tile (a bin). F(2x2, 3x3) needs 16 of them where
// the definition needs 36 multiplications for the same four pixels: 2.25 times fewer, plus additions in proportion to
// the tensors. The transform of the filters is done at every execution: the packed layouts only permute elements.
// Memory: a few MB of bins (workspace). Precision: on par with the definition in float; sums are shorter, but an
// element's error comes from all pixels of its tile.
#include "core/plain_plan.h"
#include "winograd/data_plan.h"
#include "winograd/weights_plan.h"

namespace convbwd::winograd {
namespace {

Support supports(const Problem& problem, Pass) {
  if (problem.R != 3 || problem.S != 3) return no("only 3x3 filters");
  if (problem.stride_h != 1 || problem.stride_w != 1) return no("only stride 1");
  if (problem.dilation_h != 1 || problem.dilation_w != 1) return no("only dense filters (dilation 1)");
  if (problem.G != 1) return no("only one group");
  return yes();
}

template <const auto& kMatrices>
std::unique_ptr<Plan> plan(const Problem& problem, Pass pass, const PlanOptions& options) {
  std::unique_ptr<Plan> plan;
  if (pass == Pass::data)
    plan = std::make_unique<DataPlan<kMatrices>>(problem, options.threads);
  else
    plan = std::make_unique<WeightsPlan<kMatrices>>(problem, options.threads);
  return options.layout == Layout::native ? std::move(plan) : packing_inside(std::move(plan), pass);
}

constexpr Implementation rows[] = {{
    .name = "winograd_f2",
    .idea = "F(2x2,3x3): 2.25 times fewer multiplications by interpolation",
    .isa = kCompiledIsa,
    .threaded = true,
    .integer_growth = integer_growth(kF2x3),
    .error_constant = 0.6,  // measured: see README.md
    .mixes_outputs = true,
    .supports = supports,
    .plan = plan<kF2x3>,
}};

}  // namespace
}  // namespace convbwd::winograd

CONVBWD_EXPORT_ROWS(convbwd::winograd::rows);
