// SPDX-License-Identifier: Apache-2.0
//
// im2col_blis: the lowering of im2col_gemm, multiplied by BLIS (core/im2col_blas.h).
//
// The idea: another library's kernels for the same matrices. BLIS builds its products from one small kernel a CPU, and
// is not the same fast as OpenBLAS everywhere. It is called by its own interface: `cblas_sgemm` in this process is
// OpenBLAS's. BLIS picks its kernels once per process, so each cap is a row of its own, whose environment is set before
// the process starts; version 0.9 knows no Zen 4 and takes its AVX2 kernels there. Precision: it sums blocks of a few
// hundred terms in registers. F. Van Zee, R. van de Geijn, BLIS: A Framework for Rapidly Instantiating BLAS
// Functionality, ACM TOMS 41(3), 2015.
#include <blis.h>
#include <omp.h>

#include <algorithm>

#include "core/im2col_blas.h"

namespace convbwd::im2col_blis {
namespace {

using im2col::Dense;

struct Blis {
  using Integer = dim_t;

  // Its threads wait for each other in loops: with more of them than CPUs, one waits while another should work.
  static void set_threads(int threads) { bli_thread_set_num_threads(std::min(threads, omp_get_num_procs())); }

  static std::string resolved() {
    bli_init();  // the choice of kernels is asked for below, and made here
    return std::string("BLIS ") + bli_info_get_version_str() + (bli_info_get_enable_openmp() ? " OpenMP" : "") +
           ", running its kernels for " + bli_arch_string(bli_arch_query_id());
  }

  static void sgemm(Dim M, Dim N, Dim D, const Dense<const float>& a, const Dense<const float>& b, bool add,
                    const Dense<float>& c) {
    const auto row_step = [](const auto& matrix) { return matrix.transposed ? 1 : matrix.pitch; };
    const auto column_step = [](const auto& matrix) { return matrix.transposed ? matrix.pitch : 1; };
    float one = 1, start = add ? 1 : 0;
    bli_sgemm(BLIS_NO_TRANSPOSE, BLIS_NO_TRANSPOSE, M, N, D, &one, const_cast<float*>(a.data), row_step(a),
              column_step(a), const_cast<float*>(b.data), row_step(b), column_step(b), &start, c.data, row_step(c),
              column_step(c));
  }
};

/// What forces the kernels of one CPU: their number, of two digits, in the order of the library's list.
template <arch_t arch>
constexpr char kEnvironment[] = {
    'B', 'L', 'I', 'S', '_', 'A', 'R', 'C', 'H', '_', 'T', 'Y', 'P', 'E', '=', '0' + arch / 10, '0' + arch % 10, '\0'};

constexpr Implementation row(Isa isa, std::string_view environment) {
  return im2col::blas_row<Blis>(
      {.name = "im2col_blis", .idea = "the same matrices, multiplied by BLIS", .isa = isa, .environment = environment});
}

// The environment matters only where the cap is below what the CPU has.
constexpr Implementation rows[] = {
#if defined(__x86_64__)
    row(Isa::baseline, kEnvironment<BLIS_ARCH_PENRYN>),
    row(Isa::avx2, kEnvironment<BLIS_ARCH_HASWELL>),
    row(Isa::avx512, kEnvironment<BLIS_ARCH_SKX>),
#else
    row(Isa::baseline, ""),
#endif
};

}  // namespace
}  // namespace convbwd::im2col_blis

CONVBWD_EXPORT_ROWS(convbwd::im2col_blis::rows);
