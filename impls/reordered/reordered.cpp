// SPDX-License-Identifier: Apache-2.0
//
// reordered: the definition's loops in the order that the memory likes.
//
//   dx[h, w_of(q,s)] += w[k,c,r,s] * dy[p,q]     for a row of q at a time  (nhwc: for all c at a time)
//   dw[k,c,r,s]      += dy[p,q] * x[h, w_of(q,s)]
//
// The idea: nothing is computed differently from naive, but the innermost loop runs along contiguous memory without a
// branch, and works on a few lines at once (core/loops), so the compiler alone can use vectors and keep values in
// registers. No intrinsics, no packing, no threads: what good loops are worth by themselves, for each instruction set.
// Memory: none besides the tensors. Precision: sums in float, dx in order of (k,r,s), dw row by row and image by image.
#include "core/implementation.h"
#include "core/loops/direct_loops.h"

namespace convbwd::reordered {
namespace {

class ReorderedPlan final : public Plan {
 public:
  ReorderedPlan(const Problem& problem, Pass pass) : loops_(problem, pass) {}

  void execute(const Operands& operands, std::span<std::byte>) const override {
    for (Dim part = 0; part < loops_.parts(operands); ++part) loops_.compute(operands, part);
  }

 private:
  loops::DirectLoops loops_;
};

std::unique_ptr<Plan> plan(const Problem& problem, Pass pass, const PlanOptions&) {
  return std::make_unique<ReorderedPlan>(problem, pass);
}

constexpr Implementation rows[] = {{
    .name = "reordered",
    .idea = "contiguous, branch-free inner loops that the compiler vectorises",
    .isa = kCompiledIsa,
    .error_constant = 1.25,  // measured: 0.66 on random problems (sums of two terms), 0.37 on sizes of ResNet-50
    .supports = supports_all,
    .plan = plan,
}};

}  // namespace
}  // namespace convbwd::reordered

CONVBWD_EXPORT_ROWS(convbwd::reordered::rows);
