// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <limits>
#include <optional>

#include "core/buffer.h"
#include "core/im2col.h"
#include "core/implementation.h"

// The lowering of core/im2col.h, multiplied by somebody else's BLAS:
//
//   dw [K x RSC]    += dy [K x NPQ]  * lowered(x)  [NPQ x RSC]
//   dx [C x pixels]  = w' [C x KRS]  * lowered(dy) [KRS x pixels]
//                                                          w' = rot180(w), one product a phase of the stride
//
// A BLAS wants plain matrices: what is not one already (rows or columns side by side at one distance) is written out,
// in blocks of 8 MB. A 1x1 filter's matrices are plain tensors and go in as they are. Memory: the padded copy of up to
// 8 MB of images (or of one), 8 MB of lowered matrix, and the filter or dy written out.
//
// K. Chellapilla, S. Puri, P. Simard, High Performance Convolutional Neural Networks for Document Processing (2006);
// Y. Jia's Caffe (2014) made it the common way.
//
// Include it only in code that is compiled for one instruction set; everything here is inline.
namespace convbwd::im2col {

/// A matrix as BLAS knows it: rows (or, transposed, columns) of neighbouring elements, `pitch` apart.
template <class T>
struct Dense {
  T* data;
  Dim pitch;
  bool transposed;

  T* at(Dim row, Dim column) const { return transposed ? data + row + column * pitch : data + row * pitch + column; }
};

/// The matrix without a copy, if it is of that form and no number in it exceeds `most`.
template <class T>
std::optional<Dense<T>> dense(const Matrix<T>& matrix, Dim most) {
  const auto down = matrix.rows.step(), across = matrix.columns.step();
  const Dim rows = matrix.rows.size(), columns = matrix.columns.size();
  if (!down || !across || rows == 0 || columns == 0 || rows > most || columns > most) return std::nullopt;
  const Dim row_pitch = rows == 1 ? columns : *down, column_pitch = columns == 1 ? rows : *across;
  if (*across == 1 && row_pitch >= columns && row_pitch <= most) return Dense<T>{matrix.data, row_pitch, false};
  if (*down == 1 && column_pitch >= rows && column_pitch <= most) return Dense<T>{matrix.data, column_pitch, true};
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

/// The lowering, multiplied by a library:
///     struct Blas {
///       using Integer = ...;  // of its extents
///       static void set_threads(int threads);
///       static std::string resolved();  // its version, and the kernels that run
///       // c = a * b, or +=: c is M x N, a is M x D, b is D x N
///       static void sgemm(Dim M, Dim N, Dim D, const Dense<const float>& a, const Dense<const float>& b, bool add,
///                         const Dense<float>& c);
///     };
template <class Blas>
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
    Blas::set_threads(threads_);
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

  std::string resolved() const override { return Blas::resolved(); }

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
    const auto a = dense(product.a, kMost), b = dense(product.b, kMost);
    const auto c = dense(product.c, kMost);
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
          Blas::sgemm(M, columns.size(), depth.size(), a_block, b_block, add, part(*c, whole, columns));
        } else {
          const Dense<float> block{scratch.c, columns.size(), false};
          if (depth.size() > 0)
            Blas::sgemm(M, columns.size(), depth.size(), a_block, b_block, false, block);
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

  static constexpr Dim kMost = std::numeric_limits<typename Blas::Integer>::max();

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

  Lowering lowering_;
  Pass pass_;
  Dim groups_;
  int threads_;
  Dim a_floats_ = 0, b_floats_ = 0, c_floats_ = 0;
};

/// The row of such a library: `row` says its name, idea and instruction set. It picks its kernels once per process.
template <class Blas>
constexpr Implementation blas_row(Implementation row) {
  row.threaded = true;
  row.error_constant = 1.25;  // measured: 0.66 on random problems (sums of two terms), 0.37 on sizes of ResNet-50
  row.library = true;
  row.caps_process = true;
  row.supports = supports_all;
  row.plan = [](const Problem& problem, Pass pass, const PlanOptions& options) -> std::unique_ptr<Plan> {
    return std::make_unique<BlasPlan<Blas>>(problem, pass, options);
  };
  return row;
}

}  // namespace convbwd::im2col
