// SPDX-License-Identifier: Apache-2.0
//
// libxsmm: Intel's library of small matrix products, and the convolutions built from them.
//
//   dx row  [C block x W]  +=  w' [C block x K block] * dy row [K block x W]     for each tap and K block
//   dw      [K block x C block]  +=  dy row [K block x Q] * x row' [Q x C block]  for each tap and row
//
// The idea: a convolution is many products of small blocks, so a generator of kernels for small products is all it
// takes; a "batch-reduce" kernel adds up a whole list of them in registers. Tensors are blocked by channels, images in
// frames of zeros. One row an instruction set, set once per process. Memory: the library's scratchpad (dw: a copy of
// the filter for each image), in our workspace.
// E. Georganas et al., Anatomy of High-Performance Deep Learning Convolutions on SIMD Architectures, SC 2018;
// Harnessing Deep Learning via a Single Building Block, IPDPS 2020. Version 1.17 is the last with these convolutions.
#include <algorithm>
#include <cstring>
#include <optional>
#include <stdexcept>

#include "core/gemm/gather.h"
#include "core/plain_plan.h"
#include "libxsmm/layer.h"

namespace convbwd::libxsmm {
namespace {

class XsmmPlan final : public Plan {
 public:
  XsmmPlan(const Problem& problem, Pass pass, int threads) : layer_(problem, pass, threads), threads_(threads) {}

  std::size_t workspace_bytes() const override { return layer_.scratch_bytes(); }
  std::size_t packed_bytes(Role role) const override { return layer_.blocked(role).bytes(); }

  void pack(Role role, View4<const float> plain, std::byte* packed) const override {
    const Blocked& to = layer_.blocked(role);
    if (to.framed) std::memset(packed, 0, to.bytes());
    each_piece(role, plain, [&](const Matrix<const float>& matrix, Dim offset) {
      gemm::gather(matrix, {0, matrix.rows.size()}, {0, to.block}, reinterpret_cast<float*>(packed) + offset, to.block);
    });
  }

  void unpack(Role role, const std::byte* packed, View4<float> plain) const override {
    const Blocked& from = layer_.blocked(role);
    each_piece(role, plain, [&](const Matrix<float>& matrix, Dim offset) {
      gemm::scatter(reinterpret_cast<const float*>(packed) + offset, from.block, {0, matrix.rows.size()},
                    {0, from.block}, false, matrix);
    });
  }

  void execute(const Operands& operands, std::span<std::byte> workspace) const override {
    layer_.execute(operands, workspace.data());
  }

  std::string resolved() const override {
    return "LIBXSMM " LIBXSMM_VERSION " for " + std::string(libxsmm_get_target_arch());
  }

 private:
  /// Visits a row of the image and a block of channels, or a tap and two blocks of channels, at a time: as a matrix of
  /// the plain tensor, whose columns are neighbours in the packed one, and where the packed one has it.
  template <class T, class Visit>
  void each_piece(Role role, View4<T> plain, Visit visit) const {
    const Blocked& b = layer_.blocked(role);
    const bool filter = role == Role::w || role == Role::dw;
    const Dim rows = filter ? b.rows : plain.extent[2], columns = filter ? b.columns : 1;
#pragma omp parallel for collapse(3) num_threads(threads_)
    for (Dim outer = 0; outer < b.outer; ++outer)
      for (Dim block = 0; block < b.blocks; ++block)
        for (Dim row = 0; row < rows; ++row)
          for (Dim column = 0; column < columns; ++column) {
            const Dim at = ((outer * b.blocks + block) * b.rows + row + b.top) * b.columns + column + b.left;
            if (filter)
              visit(Matrix<T>{&plain(outer * b.block, block * b.inner, row, column),
                              plain_axis(b.inner, plain.stride[1]), plain_axis(b.block, plain.stride[0])},
                    at * b.inner * b.block);
            else
              visit(Matrix<T>{&plain(outer, block * b.block, row, 0), plain_axis(plain.extent[3], plain.stride[3]),
                              plain_axis(b.block, plain.stride[1])},
                    at * b.block);
          }
  }

  Layer layer_;
  int threads_;
};

/// The instruction set that the library generates code for.
void cap_process(Isa cap) {
  static std::optional<Isa> fixed;
  if (fixed && fixed != cap)
    throw std::runtime_error("LIBXSMM " LIBXSMM_VERSION " is capped at " + std::string(name(*fixed)) +
                             " in this process, " + std::string(name(cap)) + " needs another one");
  if (!fixed)
    libxsmm_set_target_archid(cap == Isa::baseline ? LIBXSMM_X86_SSE3
                              : cap == Isa::avx2   ? LIBXSMM_X86_AVX2
                                                   : LIBXSMM_X86_AVX512_CORE);
  fixed = cap;
}

/// Into how many blocks the library cuts channels.
Dim blocks_of(Dim channels) { return channels < 32 ? 1 : channels / std::min<Dim>(channels & -channels, 32); }

Support supports(const Problem& problem, Pass pass) {
  if (problem.G > 1) return no("LIBXSMM has no groups");
  if (problem.dilation_h > 1 || problem.dilation_w > 1) return no("LIBXSMM has no dilation");
  const auto outputs = [](Dim extent, Dim taps, Dim stride) { return (extent - taps) / stride + 1; };
  if (outputs(framed_rows(problem), problem.R, problem.stride_h) != problem.P ||
      outputs(framed_columns(problem), problem.S, problem.stride_w) != problem.Q)
    return no("LIBXSMM has no whole stride of unused rows or columns");
  // What follows is wrong in version 1.17, found by reading and by trying; it is the last one with convolutions.
  const bool one_tap = problem.R == 1 && problem.S == 1, unit_stride = problem.stride_h == 1 && problem.stride_w == 1;
  if (pass == Pass::data) {
    if (one_tap && blocks_of(problem.K) > kMostBlocks) return no("LIBXSMM 1.17 overruns its lists of blocks");
    if (one_tap && unit_stride && problem.Q == 56 && problem.P > 1 && problem.P <= 14)
      return no("LIBXSMM 1.17 mixes up the rows of a low image 56 wide");
    return yes();
  }
  if (problem.P > kMostBlocks) return no("LIBXSMM 1.17 overruns its lists of blocks");
  if (problem.stride_h != problem.stride_w) return no("LIBXSMM 1.17 mixes up strides that differ");
  if (problem.Q == 56 && problem.R == 1 && !(problem.S == 1 && unit_stride && problem.P % 2 == 0))
    return no("LIBXSMM 1.17 takes two rows of 56 outputs at once");
  if (one_tap && !unit_stride && problem.P <= 7 && problem.K >= 2048 &&
      (framed_rows(problem) / problem.stride_h < problem.P || framed_columns(problem) / problem.stride_w < problem.Q))
    return no("LIBXSMM 1.17 has no room for the last row or column");
  return yes();
}

std::unique_ptr<Plan> plan(const Problem& problem, Pass pass, const PlanOptions& options) {
  cap_process(options.isa);
  auto plan = std::make_unique<XsmmPlan>(problem, pass, options.threads);
  if (options.layout != Layout::native) return packing_inside(std::move(plan), pass);
  return plan;
}

constexpr Implementation row(Isa cap) {
  return {
      .name = "libxsmm",
      .idea = "Intel's small matrix products, generated for the layer and summed in registers",
      .isa = cap,
      .threaded = true,
      .library = true,
      .caps_process = true,
      .supports = supports,
      .plan = plan,
  };
}

constexpr Implementation rows[] = {row(Isa::baseline), row(Isa::avx2), row(Isa::avx512)};

}  // namespace
}  // namespace convbwd::libxsmm

CONVBWD_EXPORT_ROWS(convbwd::libxsmm::rows);
