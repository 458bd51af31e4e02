// SPDX-License-Identifier: Apache-2.0
//
// im2col_blas: the lowering of im2col_gemm, multiplied by the BLAS that is installed.
//
//   dw [K x RSC]    += dy [K x NPQ]  * lowered(x)  [NPQ x RSC]
//   dx [C x pixels]  = w' [C x KRS]  * lowered(dy) [KRS x pixels]      w' = rot180(w), one product a phase of the
//   stride
//
// The idea: leave the hardest kernel to a library that experts tuned. The price is that a BLAS wants plain matrices:
// what is not one already (rows or columns side by side at one distance) is written out, in blocks of 8 MB. A 1x1
// filter's matrices are plain tensors and go in as they are. OpenBLAS picks its kernels once per process, so each cap
// is a row of its own, whose environment is set before the process starts. Memory: the padded copy of up to 8 MB of
// images (or of one), 8 MB of lowered matrix, and the filter or dy written out. Precision: OpenBLAS sums blocks of a
// few hundred terms in registers. K. Chellapilla, S. Puri, P. Simard, High Performance Convolutional Neural Networks
// for Document Processing (2006); Y. Jia's Caffe (2014) made it the common way. OpenBLAS: Z. Xianyi, W. Qian, Z.
// Yunquan (2012).
#include <cblas.h>

#include <limits>
#include <optional>

#include "core/buffer.h"
#include "core/im2col.h"
#include "core/implementation.h"

namespace convbwd::im2col_blas {
namespace {

/// A matrix as BLAS knows it: rows (or, transposed, columns) of neighbouring elements, `pitch` apart.
template <class T>
struct Dense {
  T* data;
  Dim pitch;
  bool transposed;

  T* at(Dim row, Dim column) const { return transposed ? data + row + column * pitch : data + row * pitch + column; }
};

/// The matrix without a copy, if it is of that form.
template <class T>
std::optional<Dense<T>> dense(const Matrix<T>& matrix) {
  const auto down = matrix.rows.step(), across = matrix.columns.step();
  const Dim rows = matrix.rows.size(), columns = matrix.columns.size();
  constexpr Dim kMost = std::numeric_limits<blasint>::max();
  if (!down || !across || rows == 0 || columns == 0 || rows > kMost || columns > kMost) return std::nullopt;
  const Dim row_pitch = rows == 1 ? columns : *down, column_pitch = columns == 1 ? rows : *across;
  if (*across == 1 && row_pitch >= columns && row_pitch <= kMost) return Dense<T>{matrix.data, row_pitch, false};
  if (*down == 1 && column_pitch >= rows && column_pitch <= kMost) return Dense<T>{matrix.data, column_pitch, true};
  return std::nullopt;
}

/// Sizes of the blocks of one product: whole, but for the longer side of the lowered matrix b, which is cut so that a
/// block has at most kBlockFloats (and at least one row or column).
struct Blocks {
  static constexpr Dim kBlockFloats = Dim{2} << 20;  // 8 MB: in the last-level cache, and far more than a call costs

  Blocks(Dim N, Dim D) : depth(D), columns(N) {
    if (columns >= depth)
      columns = std::clamp<Dim>(kBlockFloats / std::max<Dim>(1, depth), 1, columns);
    else
      depth = std::clamp<Dim>(kBlockFloats / columns, 1, depth);
  }

  Dim depth, columns;
};

class BlasPlan final : public Plan {
 public:
  BlasPlan(const Problem& problem, Pass pass, const PlanOptions& options)
      : lowering_(problem, pass, most_images(problem, options.layout)),
        pass_(pass),
        groups_(problem.G),
        threads_(options.threads) {
    for (Dim index = 0; index < lowering_.products(); ++index) {
      const auto size = lowering_.size(0, index);
      const Blocks blocks(size.N, size.D);
      a_floats_ = std::max(a_floats_, size.M * blocks.depth);
      b_floats_ = std::max(b_floats_, blocks.depth * blocks.columns);
      c_floats_ = std::max(c_floats_, size.M * blocks.columns);
    }
  }

  // | padded copy of a chunk of images | block of a | block of b | block of c |
  std::size_t workspace_bytes() const override {
    return bytes(lowering_.copy_floats()) + bytes(a_floats_) + bytes(b_floats_) + bytes(c_floats_);
  }

  void execute(const Operands& operands, std::span<std::byte> workspace) const override {
    openblas_set_num_threads(threads_);
    const auto floats_at = [&](std::size_t offset) { return reinterpret_cast<float*>(workspace.data() + offset); };
    const std::size_t a = bytes(lowering_.copy_floats()), b = a + bytes(a_floats_), c = b + bytes(b_floats_);
    float* const copy = floats_at(0);
    const Scratch scratch{floats_at(a), floats_at(b), floats_at(c)};
    for (Dim chunk = 0; chunk < lowering_.chunks(); ++chunk) {
      const Dim copy_rows = lowering_.copy_rows(chunk);
#pragma omp parallel for num_threads(threads_)
      for (Dim row = 0; row < copy_rows; ++row) lowering_.copy_row(operands, chunk, row, copy);
      for (Dim index = 0; index < lowering_.products(); ++index)
        for (Dim g = 0; g < groups_; ++g)
          multiply(lowering_.product(operands, chunk, g, index, copy), pass_ == Pass::weights && chunk > 0, scratch);
    }
  }

  std::string resolved() const override {
    return std::string(openblas_get_config()) + ", running its kernels for " + openblas_get_corename();
  }

 private:
  struct Scratch {
    float *a, *b, *c;
  };

  // A 1x1 filter over whole images is a plain matrix one image at a time in nchw, and all images at once in nhwc.
  // Images smaller than this are written out instead, to be multiplied together: one call has too few columns for BLAS.
  static constexpr Dim kSmallImage = 196;

  static Dim most_images(const Problem& problem, Layout layout) {
    const bool plain = problem.R == 1 && problem.S == 1 && layout != Layout::nhwc;
    return plain && problem.P * problem.Q >= kSmallImage ? 1 : problem.N;
  }

  static std::size_t bytes(Dim floats) { return aligned(static_cast<std::size_t>(floats) * sizeof(float)); }

  void multiply(const Product& product, bool accumulate, const Scratch& scratch) const {
    const Dim M = product.M(), N = product.N(), D = product.D();
    const auto a = dense(product.a), b = dense(product.b);
    const auto c = dense(product.c);
    const Blocks blocks(N, D);
    Dim depth_begin = 0;
    do {  // once even where D is 0: an empty sum is 0
      const Range whole{0, M}, depth{depth_begin, std::min(depth_begin + blocks.depth, D)};
      const auto a_block = a ? part(*a, whole, depth) : written_out(product.a, whole, depth, scratch.a);
      for (Dim begin = 0; begin < N; begin += blocks.columns) {
        const Range columns{begin, std::min(begin + blocks.columns, N)};
        const auto b_block = b ? part(*b, depth, columns) : written_out(product.b, depth, columns, scratch.b);
        const bool add = accumulate || depth.begin > 0;
        if (c && depth.size() > 0) {
          sgemm(M, columns.size(), depth.size(), a_block, b_block, add, part(*c, whole, columns));
        } else {
          const Dense<float> block{scratch.c, columns.size(), false};
          if (depth.size() > 0)
            sgemm(M, columns.size(), depth.size(), a_block, b_block, false, block);
          else
            std::fill_n(scratch.c, M * columns.size(), 0.0f);
          write_back(block, whole, columns, add, product.c);
        }
      }
      depth_begin += blocks.depth;
    } while (depth_begin < D);
  }

  template <class T>
  static Dense<T> part(const Dense<T>& matrix, Range rows, Range columns) {
    return {matrix.at(rows.begin, columns.begin), matrix.pitch, matrix.transposed};
  }

  // Rows are shared out to threads in strips.
  static constexpr Dim kStrip = 32;

  Dense<const float> written_out(const Matrix<const float>& matrix, Range rows, Range columns, float* block) const {
#pragma omp parallel for num_threads(threads_)
    for (Dim row = 0; row < rows.size(); row += kStrip)
      gemm::gather(matrix, {rows.begin + row, std::min(rows.begin + row + kStrip, rows.end)}, columns,
                   block + row * columns.size(), columns.size());
    return {block, columns.size(), false};
  }

  void write_back(const Dense<float>& block, Range rows, Range columns, bool add, const Matrix<float>& matrix) const {
#pragma omp parallel for num_threads(threads_)
    for (Dim row = 0; row < rows.size(); row += kStrip)
      gemm::scatter(block.at(row, 0), block.pitch, {rows.begin + row, std::min(rows.begin + row + kStrip, rows.end)},
                    columns, add, matrix);
  }

  /// c = a * b, or +=. A transposed c is what BLAS calls column-major, where the meaning of a's and b's order turns
  /// round.
  static void sgemm(Dim M, Dim N, Dim D, const Dense<const float>& a, const Dense<const float>& b, bool add,
                    const Dense<float>& c) {
    const auto order = [&](bool transposed) { return transposed == c.transposed ? CblasNoTrans : CblasTrans; };
    const auto integer = [](Dim value) { return static_cast<blasint>(value); };
    cblas_sgemm(c.transposed ? CblasColMajor : CblasRowMajor, order(a.transposed), order(b.transposed), integer(M),
                integer(N), integer(D), 1, a.data, integer(a.pitch), b.data, integer(b.pitch), add ? 1 : 0, c.data,
                integer(c.pitch));
  }

  im2col::Lowering lowering_;
  Pass pass_;
  Dim groups_;
  int threads_;
  Dim a_floats_ = 0, b_floats_ = 0, c_floats_ = 0;
};

std::unique_ptr<Plan> plan(const Problem& problem, Pass pass, const PlanOptions& options) {
  return std::make_unique<BlasPlan>(problem, pass, options);
}

constexpr Implementation row(Isa isa, std::string_view environment) {
  return {
      .name = "im2col_blas",
      .idea = "the same matrices, multiplied by OpenBLAS",
      .isa = isa,
      .threaded = true,
      .error_constant = 1.25,  // measured: 0.66 on random problems (sums of two terms), 0.37 on sizes of ResNet-50
      .library = true,
      .caps_process = true,
      .environment = environment,
      .supports = supports_all,
      .plan = plan,
  };
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
