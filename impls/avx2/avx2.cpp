// SPDX-License-Identifier: Apache-2.0
//
// avx2: the direct method with its sums in registers, in bare AVX2 and FMA intrinsics.
//
//   dx[n,c,h,w] = sum over k,r,s of  dy[n,k,p,q] * w[k,c,r,s]        data_gradient.cpp
//   dw[k,c,r,s] = sum over n,p,q of  dy[n,k,p,q] * x[n,c,h,w]        weight_gradient.cpp
//
// One idea carries both: channels lie in vectors of eight (packing.h), so a product is always a vector of channels
// times one number of dy, broadcast; and the innermost loops own twelve vectors of sums, enough to keep two FMAs a
// cycle going for as long as the reduction lasts. Every other loop is there to have the operands of that loop in L1 or
// L2 when it comes by. No product is with a zero of a stride, nothing is lowered, any stride, dilation and pad will do.
// Memory: one panel a thread, which fits a cache. Precision: sums of block sums, so errors grow more slowly than with
// one running sum. The same shape of kernel, forward: Georganas et al., SC'18 (arXiv 1808.05567).
#include "avx2/blocks.h"
#include "avx2/data_gradient.h"
#include "avx2/weight_gradient.h"
#include "core/implementation.h"
#include "core/plain_plan.h"

namespace convbwd::avx2 {
namespace {

Support supports(const Problem& problem, Pass) {
  if (problem.G > 1 && (problem.C_per_group() % kLanes || problem.K_per_group() % kLanes))
    return no("groups need C/G and K/G to be multiples of 8, the channels of a vector");
  return yes();
}

std::unique_ptr<Plan> plan(const Problem& problem, Pass pass, const PlanOptions& options) {
  auto packed =
      pass == Pass::data ? data_gradient(problem, options.threads) : weight_gradient(problem, options.threads);
  return options.layout == Layout::native ? std::move(packed) : packing_inside(std::move(packed), pass);
}

constexpr Implementation rows[] = {{
    .name = "avx2",
    .idea = "direct, twelve sums in registers, packed vectors of channels, bare AVX2 intrinsics",
    .isa = kCompiledIsa,
    .threaded = true,
    .error_constant = 1.5,  // measured: 0.76 on random problems (sums of a few terms), 0.21 on layers of ResNet-50
    .supports = supports,
    .plan = plan,
}};

}  // namespace
}  // namespace convbwd::avx2

CONVBWD_EXPORT_ROWS(convbwd::avx2::rows);
