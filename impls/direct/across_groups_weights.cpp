// SPDX-License-Identifier: Apache-2.0
//
// dw[k,c,r,s] = sum over n, p, q of  dy[n,k,p,q] * x[n,c,h,w],  a lane a group.
//
// The sums of some rows of a filter stay in registers over a run of rows of outputs, or of small images, and are then
// added to dw. Two kernels:
//   across_groups_weights_block.h   3, 5 or 7 taps, stride 1 or 2: a window of x slides over a block of outputs
//   across_groups_weights_rows.h    any other row of a filter: one output at a time
// Precision: sums of some hundred terms. Threads: blocks of groups, or shares of the runs with a dw each, added up in a
// fixed order; the result depends on the number of threads at most.
//
// Every lambda of a kernel is always_inline: the sums then become registers before gcc 12 looks at the loops. Inlined
// later they were stored with flags that say which have changed, and compilation took three times as long. Without
// [[gnu::flatten]] on top, small images lose 10 %.
#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "core/ranges.h"
#include "direct/across_groups.h"
#include "direct/across_groups_layout.h"
#include "direct/across_groups_weights_block.h"
#include "direct/across_groups_weights_rows.h"

namespace convbwd::direct {
namespace {

using simd::kWidth;
using simd::Vec;

using AddRows = void (*)(const RowsWalk& walk, const RowsRun& run, const float* x, const float* dy, float* dw);
/// The kernel for a number of rows and columns of a filter.
using Kernels = std::array<AddRows, most_rows(1)>;
template <int kTaps>
constexpr Kernels kByRows = []<int... row>(std::integer_sequence<int, row...>) {
  return Kernels{add_rows<row + 1, kTaps>...};
}
(std::make_integer_sequence<int, most_rows(kTaps)>{});
template <int kTaps, int kStride>
constexpr Kernels kBlocks = []<int... row>(std::integer_sequence<int, row...>) {
  if constexpr (has_blocks(kTaps))
    return Kernels{add_blocks<kTaps, kStride, block_rows(kTaps, row + 1)>...};
  else
    return Kernels{};
}
(std::make_integer_sequence<int, block_rows(kTaps)>{});
constexpr auto kKernels = []<int... tap>(std::integer_sequence<int, tap...>) {
  return std::array{std::array{kByRows<tap + 1>...}, std::array{kBlocks<tap + 1, 1>...},
                    std::array{kBlocks<tap + 1, 2>...}};
}
(std::make_integer_sequence<int, kMostWeightTaps>{});

class WeightsAcrossGroups final : public AcrossGroups {
 public:
  WeightsAcrossGroups(const Problem& problem, int threads);
  std::size_t workspace_bytes() const override {
    return shares_ == 1 ? 0 : static_cast<std::size_t>(shares_) * layout(Role::dw).bytes();
  }
  void execute(const Operands& operands, std::span<std::byte> workspace) const override;
  std::string resolved() const override;

 private:
  struct Column {
    RowsWalk walk;
    const Kernels* kernels;
    Parts filter_rows;
    Dim x, dw;
  };
  struct Run {
    Range images, rows;
  };
  Column column(Range taps) const;
  Run run(Dim i) const { return {image_runs_.part(i / row_runs_.count), row_runs_.part(i % row_runs_.count)}; }
  /// From a run to another, as far as they are from each other in a tensor of images.
  Dim distance(Role role, const Run& from, const Run& to) const;
  void add_run(const Run& run, const Run& next, Dim blocks_ahead, const float* x, const float* dy, float* dw) const;
  void add_column(const Column& column, const Run& run, Dim x_ahead, Dim dy_ahead, const float* x, const float* dy,
                  float* dw) const;

  std::vector<Column> columns_;
  Parts image_runs_, row_runs_;
  Dim shares_;
  bool ahead_;    // the next run comes to L2 during this one
  Parts chunks_;  // of the blocks of groups: a run goes through a chunk before the next begins
};

WeightsAcrossGroups::WeightsAcrossGroups(const Problem& problem, int threads) : AcrossGroups(problem, threads) {
  const Parts chunks = parts_of_at_most(kMostWeightTaps, problem.S);
  for (Dim chunk = 0; chunk < chunks.count; ++chunk) {
    const Column next = column(chunks.part(chunk));
    if (next.walk.outputs.size() > 0) columns_.push_back(next);
  }
  constexpr Dim kRunBytes = 256 << 10;
  constexpr Dim kRunOutputs = 256;
  // Asking for the next run took 3x3 of stride 2 on 56 x 56 from 1.15 to 0.69 ms (Zen 3, from memory, 144 channels):
  // two rows of x at a time are two streams in a page, which the hardware follows badly. Smaller images stay in L3, and
  // lose about 20 %; stride 1 does not mind.
  constexpr Dim kAheadBytes = 64 << 10;
  const Dim row_bytes =
      4 * kWidth * (problem.K_per_group() * problem.Q + problem.C_per_group() * problem.stride_h * problem.W);
  row_runs_ = parts_of_at_most(std::max<Dim>(4, kRunBytes / row_bytes), problem.P);
  image_runs_ = parts_of_at_most(std::max<Dim>(1, kRunOutputs / (problem.P * problem.Q)), problem.N);
  ahead_ = row_bytes * row_runs_.largest() >= kAheadBytes;
  const Dim runs = row_runs_.count * image_runs_.count, blocks = group_blocks();
  shares_ = blocks % threads == 0 ? 1 : std::min(runs, ceil_div(4 * threads, blocks));
  // Small images lie one after another along the blocks, which the hardware follows best: 3x3 on 7 x 7 44 -> 51 % of
  // peak, on 14 x 14 59 -> 64 (Zen 3). One image at a time, or asking for the next block on top, gained nothing.
  // Where shares_ says that blocks are shared out evenly, so are chunks.
  Dim of_thread = 4;
  while (blocks % threads == 0 && blocks % (of_thread * threads) != 0) --of_thread;
  chunks_ = {blocks, ahead_ ? blocks : std::min(blocks, of_thread * threads)};
}

WeightsAcrossGroups::Column WeightsAcrossGroups::column(Range taps) const {
  const Problem& at = problem_;
  const Dim first = at.w_of(0, taps.begin), last = at.w_of(0, taps.end - 1);
  const Range by_first = outputs_inside(at.W, at.Q, at.stride_w, first);
  const Range by_last = outputs_inside(at.W, at.Q, at.stride_w, last);
  const Range outputs{std::min(by_last.begin, at.Q), by_first.end};
  Range whole{std::max(outputs.begin, by_first.begin), std::min(outputs.end, by_last.end)};
  if (whole.size() == 0) whole = {outputs.begin, outputs.begin};
  const Dim blocks = std::max<Dim>(1, ceil_div(outputs.size(), kBlockOutputs));
  const RowsWalk walk{
      .x_image = layout(Role::x).entry(),
      .x_row = at.stride_h * at.W * kWidth,
      .x_output = at.stride_w * kWidth,
      .x_tap_row = at.dilation_h * at.W * kWidth,
      .x_tap = at.dilation_w * kWidth,
      .dy_image = layout(Role::dy).entry(),
      .dy_row = at.Q * kWidth,
      .dw_row = at.S * kWidth,
      .h_row = at.stride_h,
      .h_tap = at.dilation_h,
      .H = at.H,
      .w_output = at.stride_w,
      .w_tap = at.dilation_w,
      .W = at.W,
      .w_first = first,
      .outputs = outputs,
      .whole = whole,
      .x_lines = ceil_div(at.stride_h * at.W * kWidth, kLine * blocks),
      .dy_lines = ceil_div(at.Q * kWidth, kLine * blocks),
  };
  const int count = static_cast<int>(taps.size());
  const bool in_blocks = has_blocks(count) && at.stride_w <= kBlockStrides && at.dilation_w == 1;
  return {walk, &kKernels[static_cast<std::size_t>(in_blocks ? at.stride_w : 0)][static_cast<std::size_t>(count - 1)],
          parts_of_at_most(in_blocks ? block_rows(count) : most_rows(count), at.R), first * kWidth,
          taps.begin * kWidth};
}

void WeightsAcrossGroups::execute(const Operands& operands, std::span<std::byte> workspace) const {
  const float* x = reinterpret_cast<const float*>(operands.packed_at(Role::x));
  const float* dy = reinterpret_cast<const float*>(operands.packed_at(Role::dy));
  float* dw = reinterpret_cast<float*>(operands.packed_at(Role::dw));
  float* sums = shares_ == 1 ? dw : reinterpret_cast<float*>(workspace.data());
  const Dim blocks = group_blocks(), dw_block = layout(Role::dw).block(), dw_floats = blocks * dw_block;
  const Parts runs{image_runs_.count * row_runs_.count, shares_};
#pragma omp parallel num_threads(threads_)
  {
#pragma omp for collapse(2) schedule(dynamic)
    for (Dim chunk = 0; chunk < chunks_.count; ++chunk)
      for (Dim share = 0; share < shares_; ++share) {
        float* const to = sums + share * dw_floats;
        const Range mine = chunks_.part(chunk), part = runs.part(share);
        std::fill(to + mine.begin * dw_block, to + mine.end * dw_block, 0.0f);
        for (Dim i = part.begin; i < part.end; ++i) {
          const bool last = i + 1 == part.end;
          for (Dim block = mine.begin; block < mine.end; ++block)
            add_run(run(i), run(last ? part.begin : i + 1), last, x + block * layout(Role::x).block(),
                    dy + block * layout(Role::dy).block(), to + block * dw_block);
        }
      }
    if (shares_ > 1) {
#pragma omp for schedule(static)
      for (Dim i = 0; i < dw_floats; i += kWidth) {
        Vec sum = simd::load(sums + i);
        for (Dim share = 1; share < shares_; ++share) sum = sum + simd::load(sums + share * dw_floats + i);
        simd::store(dw + i, sum);
      }
    }
  }
}

Dim WeightsAcrossGroups::distance(Role role, const Run& from, const Run& to) const {
  const Dim row = kWidth * (role == Role::x ? problem_.stride_h * problem_.W : problem_.Q);
  return (to.images.begin - from.images.begin) * layout(role).entry() + (to.rows.begin - from.rows.begin) * row;
}

void WeightsAcrossGroups::add_run(const Run& run, const Run& next, Dim blocks_ahead, const float* x, const float* dy,
                                  float* dw) const {
  const Problem& at = problem_;
  const LaneLayout x_layout = layout(Role::x), dy_layout = layout(Role::dy);
  const Dim dw_plane = layout(Role::dw).plane();
  const Dim x_ahead = distance(Role::x, run, next) + blocks_ahead * x_layout.block() + at.pad_top * at.W * kWidth;
  const Dim dy_ahead = distance(Role::dy, run, next) + blocks_ahead * dy_layout.block();
  for (Dim k = 0; k < at.K_per_group(); ++k)
    for (Dim c = 0; c < at.C_per_group(); ++c)
      for (const Column& column : columns_)
        add_column(column, run, ahead_ && k == 0 ? x_ahead : 0, ahead_ && c == 0 ? dy_ahead : 0,
                   x + c * x_layout.plane() + column.x, dy + k * dy_layout.plane(),
                   dw + (k * at.C_per_group() + c) * dw_plane + column.dw);
}

void WeightsAcrossGroups::add_column(const Column& column, const Run& run, Dim x_ahead, Dim dy_ahead, const float* x,
                                     const float* dy, float* dw) const {
  const Problem& at = problem_;
  for (Dim part = 0; part < column.filter_rows.count; ++part) {
    const Range r = column.filter_rows.part(part);
    const Dim h = at.h_of(run.rows.begin, r.begin);
    (*column.kernels)[static_cast<std::size_t>(r.size() - 1)](
        column.walk,
        {run.images.size(), run.rows.size(), h, static_cast<int>(r.size()), part == 0 ? x_ahead : 0,
         part == 0 ? dy_ahead : 0},
        x + run.images.begin * column.walk.x_image + h * at.W * kWidth,
        dy + run.images.begin * column.walk.dy_image + run.rows.begin * column.walk.dy_row,
        dw + r.begin * column.walk.dw_row);
  }
}

std::string WeightsAcrossGroups::resolved() const {
  return "groups as lanes, " + std::to_string(columns_.size()) + " runs of taps, " +
         std::to_string(image_runs_.largest()) + " images x " + std::to_string(row_runs_.largest()) + " rows, " +
         std::to_string(shares_) + " shares";
}

}  // namespace

std::unique_ptr<Plan> weights_across_groups(const Problem& problem, int threads) {
  return std::make_unique<WeightsAcrossGroups>(problem, threads);
}

}  // namespace convbwd::direct
