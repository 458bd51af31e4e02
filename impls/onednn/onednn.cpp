// SPDX-License-Identifier: Apache-2.0
//
// onednn: Intel's library, the opponent. One row an instruction set, which is a cap here: the library picks its kernels
// at run time, and dnnl_set_max_cpu_isa keeps it from picking better ones.
//
// native: every tensor in the layout that the kernel asks for (format_tag::any), packed by the library's own reorder.
// nchw: the same choice; every tensor whose plain form is not what the kernel asks for is reordered inside execute().
// nhwc: activations stay as they are, unless `any` brings a better kind of kernel. This is what frameworks do.
//
// onednn_best: what the library could do if it always chose well. Its order of kernels is a guess, so here the plan
// runs every kernel that it offers (next_impl(); for layouts of its choice and for nhwc) and keeps the fastest.
//
// Only algorithm::convolution_direct (no Winograd) and strict float arithmetic, so integers come out exactly.
// Memory: the library's scratchpad and the reordered tensors, all in our workspace. Kernel and version: resolved().
// Reference: E. Georganas et al., "Anatomy of high-performance deep learning convolutions on SIMD architectures",
// SC 2018; https://uxlfoundation.github.io/oneDNN/

#include "core/implementation.h"
#include "onednn/fastest.h"
#include "onednn/kernel.h"
#include "onednn/library.h"
#include "onednn/plan.h"

namespace convbwd::onednn {
namespace {

Support supports(const Problem& problem, Pass) {
  if (problem.pad_bottom() <= -problem.stride_h) return no("oneDNN refuses a whole stride of unused rows");
  if (problem.pad_right() <= -problem.stride_w) return no("oneDNN refuses a whole stride of unused columns");
  return yes();
}

std::unique_ptr<Plan> preferred_plan(const Problem& problem, Pass pass, const PlanOptions& options) {
  const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return std::make_unique<OneDnnPlan>(engine, problem, pass, options,
                                      preferred_kernel(engine, problem, pass, options.layout));
}

template <std::unique_ptr<Plan> (*make)(const Problem&, Pass, const PlanOptions&)>
std::unique_ptr<Plan> plan(const Problem& problem, Pass pass, const PlanOptions& options) {
  cap_process(options.isa);
  const ThreadsScope scope(options.threads);
  return with_words(problem, [&] { return make(problem, pass, options); });
}

constexpr Implementation row(Isa cap) {
  return {
      .name = "onednn",
      .idea = "the vendor's library, its own choice of kernel and layout",
      .isa = cap,
      .threaded = true,
      .library = true,
      .caps_process = true,
      .supports = supports,
      .plan = plan<preferred_plan>,
  };
}

constexpr Implementation best(Isa cap) {
  Implementation best = row(cap);
  best.name = "onednn_best";
  best.idea = "the same library on its fastest kernel, found by timing all that it offers";
  best.plan = plan<fastest_plan>;
  return best;
}

#if defined(__x86_64__)
constexpr Implementation rows[] = {row(Isa::baseline),  row(Isa::avx2),  row(Isa::avx512),
                                   best(Isa::baseline), best(Isa::avx2), best(Isa::avx512)};
#else
constexpr Implementation rows[] = {row(kCompiledIsa), best(kCompiledIsa)};
#endif

}  // namespace
}  // namespace convbwd::onednn

CONVBWD_EXPORT_ROWS(convbwd::onednn::rows);
