// SPDX-License-Identifier: Apache-2.0
//
// naive: the definition, term by term.
//
//   dx[n,c,h,w] = sum over k,r,s of  dy[n,k,p,q] * w[k,c,r,s]   for the (p,q) that read pixel (h,w) through tap (r,s)
//   dw[k,c,r,s] = sum over n,p,q of  dy[n,k,p,q] * x[n,c,h,w]   for the (h,w) that (p,q) reads through tap (r,s)
//
// Seven loops, each output element summed on its own, in double. The loops live in core/definition.h, because the same
// code is the reference every other implementation is compared with: this row shows what the definition costs.
// Memory: none besides the tensors. Precision: one rounding, of the finished sum to float.
#include "core/definition.h"
#include "core/implementation.h"

namespace convbwd::naive {
namespace {

class NaivePlan final : public Plan {
 public:
  NaivePlan(const Problem& problem, Pass pass) : problem_(problem), pass_(pass) {}

  void execute(const Operands& operands, std::span<std::byte>) const override {
    const View4<const float> other = operands.input(inputs_of(pass_)[1]);
    const View4<float> out = operands.output(pass_);
    gradient<DoubleSum>(problem_, pass_, operands.dy, other, [&](const std::array<Dim, 4>& at, const DoubleSum& sum) {
      out(at[0], at[1], at[2], at[3]) = static_cast<float>(sum.value);
    });
  }

 private:
  Problem problem_;
  Pass pass_;
};

std::unique_ptr<Plan> plan(const Problem& problem, Pass pass, const PlanOptions&) {
  return std::make_unique<NaivePlan>(problem, pass);
}

constexpr Implementation rows[] = {{
    .name = "naive",
    .idea = "the definition, seven plain loops, sums in double",
    .isa = kCompiledIsa,
    .error_constant = 1,
    .supports = supports_all,
    .plan = plan,
}};

}  // namespace
}  // namespace convbwd::naive

CONVBWD_EXPORT_ROWS(convbwd::naive::rows);
