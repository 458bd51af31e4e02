// SPDX-License-Identifier: Apache-2.0
//
// dw[k,c,r,s] = sum over n, p, q of  dy[n,k,p,q] * x[n,c,h,w],  a lane a group.
//
// The sums of some rows of a filter stay in registers over a run of rows, or of small images, and are then added to dw.
// A block of outputs is loaded once for all of these rows; the window of x slides over it, so an x is loaded once for
// all of its taps: outputs + rows * (outputs + taps - 1) loads for rows * outputs * taps FMAs.
//   32 registers, 3x3: 9 sums + 7 dy + 1 x, 0.54 loads an FMA     7x7: 3 rows, 21 + 7 + 1 = 29, 0.31
//   16 registers, 3x3: 9 sums + 6 dy + 1 x, 0.56                  7x7: 1 row, 7 + 7 + 1 = 15, 0.41, but only 7 chains
// Measured on 5x5 and 7x7, Zen 4: 0.84 to 0.95 of the FMA peak with AVX-512; 0.68 to 0.78 with AVX2, and 0.38 to 0.54
// on 7 x 7 images. A 3x3 of stride 2 reaches 0.19 to 0.28 on 56 x 56: two walks, and little to reuse.
//
// [[gnu::flatten]] matters: without it gcc 12 leaves the larger bodies outlined, the sums in memory, and 7x7 at a
// quarter of the speed. Precision: block sums of some hundred terms. Threads: blocks of groups, or shares of the runs
// with a dw each, added up in a fixed order; the result depends on the number of threads at most.
#include <omp.h>

#include <algorithm>
#include <array>

#include "core/buffer.h"
#include "core/ranges.h"
#include "core/unroll.h"
#include "direct/across_groups.h"
#include "direct/across_groups_layout.h"
#include "direct/across_groups_walks.h"

namespace convbwd::direct {
namespace {

using simd::kWidth;
using simd::Vec;

constexpr Dim kMostTaps = 7;
constexpr int kMostSums = simd::kRegisters == 32 ? 24 : 12;
constexpr int kChains = simd::kWidth == 16 ? 4 : 8;

constexpr int tile_rows(int taps) { return std::max(1, std::min(7, kMostSums / taps)); }
constexpr int tile_sets(int rows, int taps) {
  const int sums = rows * taps;
  return sums >= kChains ? 1 : std::min((kChains + sums - 1) / sums, kMostSums / sums);
}
constexpr int tile_outputs(int rows, int taps) {
  return std::min(7, simd::kRegisters - 1 - rows * taps * tile_sets(rows, taps));
}

struct TileWalk {
  Dim x_image, x_row, x_tap_row, x_position;
  Dim dy_image, dy_row, dy_output;
  Dim stride_h, dilation_h, H;
  Dim dw_row, dw_tap;
  Dim positions, lead;  // position i meets output i + lead - t
  Range outputs;        // that meet a position through any tap
};

struct TileRows {
  Dim images, rows, h;
};

/// Sums over some rows of some images.
template <int kRows, int kTaps>
[[gnu::flatten]] void add_rows(const TileWalk& walk, const TileRows& rows, const float* x, const float* dy, float* dw) {
  constexpr int kSets = tile_sets(kRows, kTaps), kOutputs = tile_outputs(kRows, kTaps);
  constexpr int kWindow = kOutputs + kTaps - 1;
  static_assert(kOutputs > 0);
  Vec sums[kSets][kRows][kTaps];
  unroll<kSets>([&](auto set) {
    unroll<kRows>([&](auto r) { unroll<kTaps>([&](auto t) { sums[set][r][t] = simd::zero(); }); });
  });
  const auto add_block = [&](auto guarded, Dim begin, Dim h, const float* x_row, const float* dy_row)
      __attribute__((always_inline)) {
    const Dim low = begin - walk.lead, count = walk.outputs.end - begin;
    const Dim inside_begin = -low, inside_end = std::min(walk.positions - low, count + kTaps - 1);
    Vec y[kOutputs];
    const float* output = dy_row + begin * walk.dy_output;
    unroll<kOutputs>([&](auto j) {
      y[j] = !guarded || j < count ? simd::load(output) : simd::zero();
      output += walk.dy_output;
    });
    unroll<kRows>([&](auto r) {
      const Dim image_row = h + r * walk.dilation_h;
      if (image_row >= 0 && image_row < walk.H) {
        const float* position = x_row + r * walk.x_tap_row + low * walk.x_position;
        unroll<kWindow>([&](auto m) {
          if (!guarded || (m >= inside_begin && m < inside_end)) {
            const Vec pixel = simd::load(position);
            unroll<kTaps>([&](auto t) {
              constexpr int j = m - t;
              if constexpr (j >= 0 && j < kOutputs)
                sums[j % kSets][r][t] = simd::fma(pixel, y[j], sums[j % kSets][r][t]);
            });
          }
          position += walk.x_position;
        });
      }
    });
  };
  for (Dim image = 0; image < rows.images; ++image)
    for (Dim row = 0; row < rows.rows; ++row) {
      const Dim h = rows.h + row * walk.stride_h;
      const float* x_row = x + image * walk.x_image + row * walk.x_row;
      const float* dy_row = dy + image * walk.dy_image + row * walk.dy_row;
      for (Dim begin = walk.outputs.begin; begin < walk.outputs.end; begin += kOutputs) {
        const Dim low = begin - walk.lead;
        if (low >= 0 && low + kWindow <= walk.positions && begin + kOutputs <= walk.outputs.end)
          add_block(std::false_type{}, begin, h, x_row, dy_row);
        else
          add_block(std::true_type{}, begin, h, x_row, dy_row);
      }
    }
  unroll<kRows>([&](auto r) {
    unroll<kTaps>([&](auto t) {
      Vec sum = sums[0][r][t];
      unroll<kSets - 1>([&](auto set) { sum = sum + sums[set + 1][r][t]; });
      float* to = dw + r * walk.dw_row + t * walk.dw_tap;
      simd::store(to, simd::load(to) + sum);
    });
  });
}

using AddRows = void (*)(const TileWalk& walk, const TileRows& rows, const float* x, const float* dy, float* dw);
template <int kTaps>
constexpr auto kAddRows = []<int... row>(std::integer_sequence<int, row...>) {
  return std::array<AddRows, 7>{add_rows<row + 1, kTaps>...};
}
(std::make_integer_sequence<int, tile_rows(kTaps)>{});
constexpr auto kAddRowsByTaps = []<int... tap>(std::integer_sequence<int, tap...>) {
  return std::array<std::array<AddRows, 7>, sizeof...(tap)>{kAddRows<tap + 1>...};
}
(std::make_integer_sequence<int, kMostTaps>{});

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
    TileWalk walk;
    const std::array<AddRows, 7>* add_rows;
    Parts filter_rows;
    Dim x, dy, dw;
  };
  struct Run {
    Range images, rows;
  };
  Column column(const Walk& walk) const;
  void add_run(const Run& run, const float* x, const float* dy, float* dw) const;
  void add_column(const Column& column, const Run& run, const float* x, const float* dy, float* dw) const;

  std::vector<Column> columns_;
  Parts image_runs_, row_runs_;
  Dim shares_;
};

WeightsAcrossGroups::WeightsAcrossGroups(const Problem& problem, int threads) : AcrossGroups(problem, threads) {
  for (const Walk& walk :
       walks_of(problem.W, problem.Q, problem.S, problem.stride_w, problem.dilation_w, problem.pad_left, kMostTaps))
    if (walk.taps > 0) {
      const Column next = column(walk);
      if (next.walk.outputs.size() > 0) columns_.push_back(next);
    }
  constexpr Dim kRunBytes = 256 << 10;
  constexpr Dim kRunOutputs = 256;
  const Dim row_bytes =
      4 * kWidth * (problem.K_per_group() * problem.Q + problem.C_per_group() * problem.stride_h * problem.W);
  row_runs_ = parts_of_at_most(std::max<Dim>(4, kRunBytes / row_bytes), problem.P);
  image_runs_ = parts_of_at_most(std::max<Dim>(1, kRunOutputs / (problem.P * problem.Q)), problem.N);
  const Dim runs = row_runs_.count * image_runs_.count, blocks = group_blocks();
  shares_ = blocks % threads == 0 ? 1 : std::min(runs, ceil_div(4 * threads, blocks));
}

WeightsAcrossGroups::Column WeightsAcrossGroups::column(const Walk& walk) const {
  const Problem& at = problem_;
  const TileWalk tile{
      .x_image = layout(Role::x).entry(),
      .x_row = at.stride_h * at.W * kWidth,
      .x_tap_row = at.dilation_h * at.W * kWidth,
      .x_position = walk.x_step * kWidth,
      .dy_image = layout(Role::dy).entry(),
      .dy_row = at.Q * kWidth,
      .dy_output = walk.y_step * kWidth,
      .stride_h = at.stride_h,
      .dilation_h = at.dilation_h,
      .H = at.H,
      .dw_row = at.S * kWidth,
      .dw_tap = walk.tap_step * kWidth,
      .positions = walk.x_count,
      .lead = walk.lead,
      .outputs = {std::max<Dim>(0, walk.lead - (walk.taps - 1)), std::min(walk.y_count, walk.x_count + walk.lead)}};
  const int taps = static_cast<int>(walk.taps);
  return {tile,
          &kAddRowsByTaps[static_cast<std::size_t>(taps - 1)],
          parts_of_at_most(tile_rows(taps), at.R),
          walk.x_first * kWidth,
          walk.y_first * kWidth,
          walk.first_tap * kWidth};
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
    for (Dim block = 0; block < blocks; ++block)
      for (Dim share = 0; share < shares_; ++share) {
        float* const to = sums + share * dw_floats + block * dw_block;
        std::fill(to, to + dw_block, 0.0f);
        const Range part = runs.part(share);
        for (Dim run = part.begin; run < part.end; ++run)
          add_run({image_runs_.part(run / row_runs_.count), row_runs_.part(run % row_runs_.count)},
                  x + block * layout(Role::x).block(), dy + block * layout(Role::dy).block(), to);
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

void WeightsAcrossGroups::add_run(const Run& run, const float* x, const float* dy, float* dw) const {
  const Problem& at = problem_;
  const Dim x_plane = layout(Role::x).plane(), dy_plane = layout(Role::dy).plane(), dw_plane = layout(Role::dw).plane();
  for (Dim k = 0; k < at.K_per_group(); ++k)
    for (Dim c = 0; c < at.C_per_group(); ++c)
      for (const Column& column : columns_)
        add_column(column, run, x + c * x_plane + column.x, dy + k * dy_plane + column.dy,
                   dw + (k * at.C_per_group() + c) * dw_plane + column.dw);
}

void WeightsAcrossGroups::add_column(const Column& column, const Run& run, const float* x, const float* dy,
                                     float* dw) const {
  const Problem& at = problem_;
  for (Dim part = 0; part < column.filter_rows.count; ++part) {
    const Range r = column.filter_rows.part(part);
    // Rows of outputs that meet the image through the first or the last of these rows of the filter.
    Range p = run.rows;
    if (r.size() == 1) {
      const Range inside = outputs_inside(at.H, at.P, at.stride_h, at.h_of(0, r.begin));
      p = {std::max(p.begin, inside.begin), std::min(p.end, inside.end)};
      if (p.size() == 0) continue;
    }
    const Dim h = at.h_of(p.begin, r.begin);
    (*column.add_rows)[static_cast<std::size_t>(r.size() - 1)](
        column.walk, {run.images.size(), p.size(), h}, x + run.images.begin * column.walk.x_image + h * at.W * kWidth,
        dy + run.images.begin * column.walk.dy_image + p.begin * column.walk.dy_row, dw + r.begin * column.walk.dw_row);
  }
}

std::string WeightsAcrossGroups::resolved() const {
  return "groups as lanes, " + std::to_string(columns_.size()) + " walks, " + std::to_string(image_runs_.largest()) +
         " images x " + std::to_string(row_runs_.largest()) + " rows, " + std::to_string(shares_) + " shares";
}

}  // namespace

std::unique_ptr<Plan> weights_across_groups(const Problem& problem, int threads) {
  return std::make_unique<WeightsAcrossGroups>(problem, threads);
}

}  // namespace convbwd::direct
