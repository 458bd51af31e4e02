// SPDX-License-Identifier: Apache-2.0
//
// im2col_gemm: both gradients as matrix products on a GEMM of our own.
//
//   dw [K x RSC]    += dy [K x NPQ]  * lowered(x)  [NPQ x RSC]
//   dx [C x pixels]  = w' [C x KRS]  * lowered(dy) [KRS x pixels]      w' = rot180(w), one product a phase of the
//   stride
//
// The idea: a convolution becomes the best understood kernel of all once its windows are laid out as the columns of a
// matrix. Here the matrix is implicit: the GEMM packs its panels straight from the zero-padded image (core/im2col.h),
// so lowering costs one copy of the image, not R*S, and a 1x1 filter none. The register tile and the cache blocks are
// those of core/gemm. Threads share out blocks of the output, which are disjoint; every sum runs in one fixed order.
// Memory: the padded copy of up to 8 MB of images (or of one), and about 1.2 MB a thread. Precision: sums of at most
// 256 terms in a register, then added up. K. Chellapilla, S. Puri, P. Simard, High Performance Convolutional Neural
// Networks for Document Processing (2006); the implicit form as in cuDNN (Chetlur et al., 2014) and ConvGEMM (San Juan
// et al., 2020).
#include <omp.h>

#include "core/buffer.h"
#include "core/gemm/gemm.h"
#include "core/im2col.h"
#include "core/implementation.h"

namespace convbwd::im2col_gemm {
namespace {

class GemmPlan final : public Plan {
 public:
  GemmPlan(const Problem& problem, Pass pass, int threads)
      : lowering_(problem, pass, problem.N), pass_(pass), groups_(problem.G), threads_(threads) {}

  // | padded copy of a chunk of images | blocks of thread 0 | blocks of thread 1 | ...
  std::size_t workspace_bytes() const override {
    return copy_bytes() + static_cast<std::size_t>(threads_) * kBlockBytes;
  }

  void execute(const Operands& operands, std::span<std::byte> workspace) const override {
    float* const copy = reinterpret_cast<float*>(workspace.data());
    std::byte* const blocks_of_threads = workspace.data() + copy_bytes();
    for (Dim chunk = 0; chunk < lowering_.chunks(); ++chunk) {
      const Dim copy_rows = lowering_.copy_rows(chunk);
      const bool accumulate = pass_ == Pass::weights && chunk > 0;
#pragma omp parallel num_threads(threads_)
      {
        float* const scratch =
            reinterpret_cast<float*>(blocks_of_threads + static_cast<std::size_t>(omp_get_thread_num()) * kBlockBytes);
#pragma omp for
        for (Dim row = 0; row < copy_rows; ++row) lowering_.copy_row(operands, chunk, row, copy);
        for (Dim index = 0; index < lowering_.products(); ++index) {
          const auto size = lowering_.size(chunk, index);
          const gemm::Blocks blocks = gemm::blocks_for(size.M, size.N, groups_ * lowering_.products(), threads_);
#pragma omp for schedule(dynamic) nowait
          for (Dim task = 0; task < groups_ * blocks.count(); ++task) {
            const Product product = lowering_.product(operands, chunk, task / blocks.count(), index, copy);
            const Dim block = task % blocks.count();
            gemm::multiply_block(product, blocks.rows(block), blocks.columns(block), accumulate, scratch);
          }
        }
      }
    }
  }

  std::string resolved() const override {
    return "register tile " + std::to_string(gemm::kTileRows) + "x" + std::to_string(gemm::kTileColumns);
  }

 private:
  static constexpr std::size_t kBlockBytes = aligned(static_cast<std::size_t>(gemm::block_floats()) * sizeof(float));

  std::size_t copy_bytes() const { return aligned(static_cast<std::size_t>(lowering_.copy_floats()) * sizeof(float)); }

  im2col::Lowering lowering_;
  Pass pass_;
  Dim groups_;
  int threads_;
};

std::unique_ptr<Plan> plan(const Problem& problem, Pass pass, const PlanOptions& options) {
  return std::make_unique<GemmPlan>(problem, pass, options.threads);
}

constexpr Implementation rows[] = {{
    .name = "im2col_gemm",
    .idea = "windows as columns of a matrix, packed straight into a register-tiled GEMM",
    .isa = kCompiledIsa,
    .threaded = true,
    .error_constant = 1.25,  // measured: 0.66 on random problems (sums of two terms), 0.37 on sizes of ResNet-50
    .supports = supports_all,
    .plan = plan,
}};

}  // namespace
}  // namespace convbwd::im2col_gemm

CONVBWD_EXPORT_ROWS(convbwd::im2col_gemm::rows);
