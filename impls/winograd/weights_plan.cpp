// SPDX-License-Identifier: Apache-2.0
//
// dw by the transposed algorithm, for each part of the filter: in every bin a matrix product over the tiles, then one
// inverse transform a filter:
//
//   for a run of tiles:                       X, Y: the transformed tiles of x and dy, all channels
//     for a slab of filters and channels:     D += Y' X in each bin
//   dw from D
//
// If D, the gradient of all transformed filters, is small, every thread takes its own tiles and has its own D; the
// copies are added in the order of their numbers. Otherwise all threads share the runs of tiles, long ones, and
// divide the slabs; with a single run a slab of D is used up in L2. Either way the result depends only on the
// number of threads, not on their timing.
#include <algorithm>

#include "core/caches.h"
#include "winograd/packed_plan.h"
#include "winograd/products.h"

namespace convbwd::winograd {
namespace {

using simd::kWidth;

// Transformed gradients of 128 x 128 filters by F(4,3) are 2.4 MB: a copy for each thread costs less than reading tiles
// that another core has just written (128 channels @ 28x28, Zen 3, 2 threads: 8.5 -> 3.6 ms).
constexpr Dim kSmallGradients = 1024 * 1024;
// Transformed tiles at a time, in floats: as much as D, which comes and goes once a run, but 1.5 MB at least (Zen 3):
//   128 channels @ 28x28: 2 MB rather than 8      12.8 -> 9.0 ms
//   512 channels @ 28x28: 32 MB rather than 8     151 -> 117 ms, where D is 37 MB
//   64 channels @ 56x56: 1.5 MB rather than 0.25  9.6 -> 8.5 ms
constexpr Dim kLeastRun = 384 * 1024, kMostRun = 8 * 1024 * 1024;
constexpr Dim kSlabBlocks = 64 / kWidth;
constexpr Dim kLeastTiles = 32;

class WeightsPlan final : public PackedPlan {
 public:
  WeightsPlan(const Problem& problem, int threads, Layout layout, Family family);

 private:
  struct Blocking {
    bool split_tiles, single_run;
    Dim copies, run;         // of D, each for a part of the tiles; tiles transformed at a time
    Parts c_slabs, k_slabs;  // of blocks of channels
    BinLayout x, dy, gradients;
    Dim slabs() const { return c_slabs.count * k_slabs.count; }
    Dim part_floats() const { return gradients.floats() + x.floats() + dy.floats(); }
  };
  Blocking blocking_of(const Tiling& tiling) const;

  Dim workspace_floats() const override;
  std::string described(std::size_t part) const override;
  void clear(const Operands& operands, Team team) const override;
  /// A step is a part.
  std::size_t steps() const override { return parts_.size(); }
  void run(std::size_t step, const Tensors& tensors, float* workspace, Team team) const override;

  void by_tiles(const Tiling& tiling, const Blocking& at, const Tensors& tensors, float* workspace, Team team) const;
  void by_slabs(const Tiling& tiling, const Blocking& at, const Tensors& tensors, float* workspace, Team team) const;
  void transform(const Tiling& tiling, const Tensors& tensors, Dim block, Range tiles, Dim first_row, const Bins& x,
                 const Bins& dy) const;

  std::vector<Blocking> blockings_;
  std::vector<Dim> dead_taps_;
};

/// The taps of the filter along an axis that are in a part.
std::vector<bool> live_taps(Dim taps, const std::vector<AxisTiling>& parts) {
  std::vector<bool> live(static_cast<std::size_t>(taps));
  for (const AxisTiling& part : parts)
    for (Dim u = 0; u < part.algorithm->taps; ++u)
      live[static_cast<std::size_t>(part.first_tap + u * part.tap_step)] = true;
  return live;
}

WeightsPlan::WeightsPlan(const Problem& problem, int threads, Layout layout, Family family)
    : PackedPlan(problem, Pass::weights, threads, layout, family) {
  for (const Tiling& tiling : parts_) blockings_.push_back(blocking_of(tiling));
  const auto rows = live_taps(problem.R, rows_);
  const auto columns = live_taps(problem.S, columns_);
  for (std::size_t r = 0; r < rows.size(); ++r)
    for (std::size_t s = 0; s < columns.size(); ++s)
      if (!rows[r] || !columns[s]) dead_taps_.push_back(static_cast<Dim>(r * columns.size() + s));
}

WeightsPlan::Blocking WeightsPlan::blocking_of(const Tiling& tiling) const {
  const Dim bins = tiling.bins(), filter_bins = tiling.filter_bins(), tiles = tiling.tiles(),
            c_blocks = blocks_of(filters_.C), k_blocks = blocks_of(filters_.K), K = k_blocks * kWidth,
            C = c_blocks * kWidth;
  Blocking at{};
  at.gradients = {filter_bins, c_blocks, K};
  at.split_tiles = bins * K * C <= kSmallGradients;
  at.copies = at.split_tiles ? std::min<Dim>(team_size(), tiles) : 1;
  const Dim a_part = ceil_div(tiles, at.copies);
  const Dim run = std::clamp(bins * K * C, kLeastRun, kMostRun);
  const Dim most = std::max(run / (bins * (K + C)), kLeastTiles);
  at.run = ceil_div(a_part, ceil_div(a_part, most));
  at.x = {bins, c_blocks, at.run};
  at.dy = {bins, k_blocks, at.run};

  at.single_run = !at.split_tiles && at.run >= tiles;
  const Dim in_l2 =
      std::clamp<Dim>(l2_floats() * 5 / 8 / (filter_bins * kSlabBlocks * kWidth * kWidth), 1, kSlabBlocks);
  at.c_slabs = parts_of_at_most(in_l2 > kGradientBlocks ? in_l2 / kGradientBlocks * kGradientBlocks : in_l2, c_blocks);
  at.k_slabs = parts_of_at_most(kSlabBlocks, k_blocks);
  if (!at.split_tiles)
    while (at.slabs() < team_size() && at.k_slabs.count < k_blocks)
      at.k_slabs.count = std::min(2 * at.k_slabs.count, k_blocks);
  if (at.single_run) at.gradients = {filter_bins, at.c_slabs.largest(), at.k_slabs.largest() * kWidth};
  return at;
}

Dim WeightsPlan::workspace_floats() const {
  Dim floats = 0;
  for (const Blocking& at : blockings_)
    floats = std::max(floats, at.split_tiles ? at.copies * at.part_floats()
                                             : at.x.floats() + at.dy.floats() +
                                                   (at.single_run ? team_size() : 1) * at.gradients.floats());
  return floats;
}

std::string WeightsPlan::described(std::size_t part) const {
  const Blocking& at = blockings_[part];
  return "runs of " + std::to_string(at.run) + " tiles, " +
         (at.split_tiles ? "split among threads" : std::to_string(at.slabs()) + " slabs of filters");
}

void WeightsPlan::clear(const Operands& operands, Team team) const {
  float* const dw = tensor(operands, Role::dw);
  const Range filters = team.share(filters_.floats() / filters_.filter());
  for (Dim i = filters.begin; i < filters.end; ++i)
    for (Dim tap : dead_taps_) simd::store(dw + i * filters_.filter() + tap * kWidth, simd::zero());
}

void WeightsPlan::run(std::size_t step, const Tensors& tensors, float* workspace, Team team) const {
  const Blocking& at = blockings_[step];
  at.split_tiles ? by_tiles(parts_[step], at, tensors, workspace, team)
                 : by_slabs(parts_[step], at, tensors, workspace, team);
}

/// A block of channels of x, or after those one of dy.
void WeightsPlan::transform(const Tiling& tiling, const Tensors& tensors, Dim block, Range tiles, Dim first_row,
                            const Bins& x, const Bins& dy) const {
  if (block < x.blocks)
    wide_tiles_to_bins({wide_, tensors.wide + block * wide_.block}, tiling, tiles, x, block, first_row);
  else
    narrow_tiles_to_bins({narrow_, tensors.narrow + (block - x.blocks) * narrow_.block}, tiling, tiles, dy,
                         block - x.blocks, first_row);
}

void WeightsPlan::by_tiles(const Tiling& tiling, const Blocking& at, const Tensors& tensors, float* workspace,
                           Team team) const {
  const Dim copies = std::min<Dim>(at.copies, team.size);
  if (team.rank < copies) {
    Carver own(workspace + team.rank * at.part_floats());
    const Bins gradients = own.take(at.gradients), x = own.take(at.x), dy = own.take(at.dy);
    const Range mine = part(tiling.tiles(), copies, team.rank);
    for (Dim first = mine.begin; first < mine.end; first += at.run) {
      const Range span{first, std::min(first + at.run, mine.end)};
      for (Dim block = 0; block < x.blocks + dy.blocks; ++block)
        transform(tiling, tensors, block, span, span.begin, x, dy);
      multiply({.tiling = tiling,
                .span = span,
                .dy = dy,
                .x = x,
                .k_blocks = {0, dy.blocks},
                .c_blocks = {0, x.blocks},
                .result = gradients,
                .accumulate = first > mine.begin});
    }
  }
  team.barrier();

  const Bins gradients = Carver(workspace).take(at.gradients);
  if (copies > 1) {
    const Range vectors = team.share(at.gradients.floats() / kWidth);
    for (Dim i = vectors.begin * kWidth; i < vectors.end * kWidth; i += kWidth) {
      simd::Vec sum = simd::load(gradients.data + i);
      for (Dim copy = 1; copy < copies; ++copy) sum = sum + simd::load(gradients.data + copy * at.part_floats() + i);
      simd::store(gradients.data + i, sum);
    }
    team.barrier();
  }
  const Dim filters = at.gradients.rows / kWidth;
  const Range share = team.share(gradients.blocks * filters);
  for (Dim i = share.begin; i < share.end; ++i) {
    const Dim block = i / filters, k = i % filters * kWidth;
    bins_to_filters(gradients, block, 0, tiling, filters_, tensors.taps + block * filters_.block(), {k, k + kWidth});
  }
}

void WeightsPlan::by_slabs(const Tiling& tiling, const Blocking& at, const Tensors& tensors, float* workspace,
                           Team team) const {
  Carver carver(workspace);
  const Bins x = carver.take(at.x), dy = carver.take(at.dy);
  const Bins gradients =
      Carver(carver.rest() + (at.single_run ? team.rank * at.gradients.floats() : 0)).take(at.gradients);
  for (Dim first = 0; first < tiling.tiles(); first += at.run) {
    if (first > 0) team.barrier();  // x and dy are written again
    const Range span{first, std::min(first + at.run, tiling.tiles())};
    const Parts pieces = parts_of_at_most(kLeastTiles, span.size());
    const Range share = team.share((x.blocks + dy.blocks) * pieces.count);
    for (Dim i = share.begin; i < share.end; ++i) {
      const Range piece = pieces.part(i % pieces.count);
      transform(tiling, tensors, i / pieces.count, {first + piece.begin, first + piece.end}, first, x, dy);
    }
    team.barrier();

    const Range slabs = team.share(at.slabs());
    for (Dim slab = slabs.begin; slab < slabs.end; ++slab) {
      const Range c_blocks = at.c_slabs.part(slab % at.c_slabs.count);
      const Range k_blocks = at.k_slabs.part(slab / at.c_slabs.count);
      Bins result = gradients;
      if (!at.single_run) result.data = gradients.at(0, c_blocks.begin, k_blocks.begin * kWidth);
      multiply({.tiling = tiling,
                .span = span,
                .dy = dy,
                .x = x,
                .k_blocks = k_blocks,
                .c_blocks = c_blocks,
                .result = result,
                .accumulate = first > 0});
      if (span.end < tiling.tiles()) continue;
      const Range filters{k_blocks.begin * kWidth, k_blocks.end * kWidth};
      for (Dim block = c_blocks.begin; block < c_blocks.end; ++block)
        bins_to_filters(result, block - c_blocks.begin, filters.begin, tiling, filters_,
                        tensors.taps + block * filters_.block(), filters);
    }
  }
}

}  // namespace

std::unique_ptr<Plan> weights_plan(const Problem& problem, int threads, Layout layout, Family family) {
  return std::make_unique<WeightsPlan>(problem, threads, layout, family);
}

}  // namespace convbwd::winograd
