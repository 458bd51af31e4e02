// SPDX-License-Identifier: Apache-2.0
//
// openmp: the loops of reordered, on all cores.
//
//   dx: parts are channels (nchw) or rows (nhwc) of an image;   dw: parts are blocks of filters and channels (taps)
//
// The idea: the output is cut, never the sums. Parts share no output element, so threads need no lock, no private
// copies and no reduction, and every number comes out the same whatever the number of threads. Parts are handed out as
// threads become free, since another process may slow one of them down. Memory: none besides the tensors. Precision:
// that of reordered, bit for bit.
#include "core/implementation.h"
#include "core/loops/direct_loops.h"

namespace convbwd::openmp {
namespace {

class OpenmpPlan final : public Plan {
 public:
  OpenmpPlan(const Problem& problem, Pass pass, int threads) : loops_(problem, pass), threads_(threads) {}

  void execute(const Operands& operands, std::span<std::byte>) const override {
#pragma omp parallel for num_threads(threads_) schedule(dynamic)
    for (Dim part = 0; part < loops_.parts(operands); ++part) loops_.compute(operands, part);
  }

 private:
  loops::DirectLoops loops_;
  int threads_;
};

std::unique_ptr<Plan> plan(const Problem& problem, Pass pass, const PlanOptions& options) {
  return std::make_unique<OpenmpPlan>(problem, pass, options.threads);
}

constexpr Implementation rows[] = {{
    .name = "openmp",
    .idea = "the same loops in parallel over disjoint parts of the output",
    .isa = kCompiledIsa,
    .threaded = true,
    .error_constant = 1.25,  // measured: 0.66 on random problems (sums of two terms), 0.37 on sizes of ResNet-50
    .supports = supports_all,
    .plan = plan,
}};

}  // namespace
}  // namespace convbwd::openmp

CONVBWD_EXPORT_ROWS(convbwd::openmp::rows);
