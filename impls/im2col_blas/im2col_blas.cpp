// SPDX-License-Identifier: Apache-2.0
//
// im2col_blas: the lowering of im2col_gemm, multiplied by OpenBLAS (core/im2col_blas.h).
//
// The idea: leave the hardest kernel to a library that experts tuned. OpenBLAS picks its kernels once per process, so
// each cap is a row of its own, whose environment is set before the process starts. Precision: it sums blocks of a few
// hundred terms in registers. Z. Xianyi, W. Qian, Z. Yunquan, Model-driven Level 3 BLAS Performance Optimization on
// Loongson 3A Processor (2012).
#include "core/im2col_blas.h"

#include <cblas.h>

namespace convbwd::im2col_blas {
namespace {

using im2col::Dense;

struct OpenBlas {
  using Integer = blasint;

  static void set_threads(int threads) { openblas_set_num_threads(threads); }

  static std::string resolved() {
    return std::string(openblas_get_config()) + ", running its kernels for " + openblas_get_corename();
  }

  // A transposed c is what BLAS calls column-major, where the meaning of a's and b's order turns round.
  static void sgemm(Dim M, Dim N, Dim D, const Dense<const float>& a, const Dense<const float>& b, bool add,
                    const Dense<float>& c) {
    const auto order = [&](bool transposed) { return transposed == c.transposed ? CblasNoTrans : CblasTrans; };
    const auto integer = [](Dim value) { return static_cast<blasint>(value); };
    cblas_sgemm(c.transposed ? CblasColMajor : CblasRowMajor, order(a.transposed), order(b.transposed), integer(M),
                integer(N), integer(D), 1, a.data, integer(a.pitch), b.data, integer(b.pitch), add ? 1 : 0, c.data,
                integer(c.pitch));
  }
};

constexpr Implementation row(Isa isa, std::string_view environment) {
  return im2col::blas_row<OpenBlas>({.name = "im2col_blas",
                                     .idea = "the same matrices, multiplied by OpenBLAS",
                                     .isa = isa,
                                     .environment = environment});
}

// The environment matters only where the cap is below what the CPU has.
constexpr Implementation rows[] = {
#if defined(__x86_64__)
    row(Isa::baseline, "OPENBLAS_CORETYPE=Nehalem"),
    row(Isa::avx2, "OPENBLAS_CORETYPE=Haswell"),
    row(Isa::avx512, "OPENBLAS_CORETYPE=SkylakeX"),
#else
    row(Isa::baseline, ""),
#endif
};

}  // namespace
}  // namespace convbwd::im2col_blas

CONVBWD_EXPORT_ROWS(convbwd::im2col_blas::rows);
