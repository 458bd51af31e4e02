// SPDX-License-Identifier: Apache-2.0
//
// dw by the transposed algorithm, for each part of the filter: in every bin a matrix product over the tiles, then one
// inverse transform a filter:
//
//   for a run of tiles:                       X, Y: the transformed tiles of x and dy, all channels
//     for some filters, channels and bins:    D += Y' X in each bin
//   dw from D
//
// *By tiles*: if D, the gradient of all transformed filters, is small, every thread takes its own tiles and has its own
// D; the copies are added in the order of their numbers. *By slabs*: if all tiles are one run, the threads divide the
// slabs, and a slab of D is used up in L2. *By bins*: otherwise D comes and goes once a run, and each bin is multiplied
// at once, its tiles in L2 (by slabs, which reads them again for every slab: 1.2 to 1.3 times as long for the products
// of F(6,3) and 256 or 512 filters and channels, Zen 3). The result depends only on the number of threads, not on their
// timing.
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

class WeightsPlan final : public PackedPlan {
 public:
  WeightsPlan(const Problem& problem, int threads, Layout layout, Family family);

 private:
  enum class Way { by_tiles, by_slabs, by_bins };
  struct Blocking {
    Way way;
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
  void by_bins(const Tiling& tiling, const Blocking& at, const Tensors& tensors, float* workspace, Team team) const;
  void transform_run(const Tiling& tiling, const Tensors& tensors, Range tiles, const Bins& x, const Bins& dy,
                     Team team) const;
  void write_filters(const Tiling& tiling, const Bins& gradients, const Tensors& tensors, Team team) const;
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
  const bool split_tiles = bins * K * C <= kSmallGradients;
  at.copies = split_tiles ? std::min<Dim>(team_size(), tiles) : 1;
  const Dim a_part = ceil_div(tiles, at.copies);
  const Dim run = std::clamp(bins * K * C, kLeastRun, kMostRun);
  const Dim most = std::max(run / (bins * (K + C)), kLeastRunTiles);
  at.run = ceil_div(a_part, ceil_div(a_part, most));
  at.x = {bins, c_blocks, at.run};
  at.dy = {bins, k_blocks, at.run};
  at.way = split_tiles ? Way::by_tiles : at.run >= tiles ? Way::by_slabs : Way::by_bins;
  const auto split_filters = [&](Dim most_blocks, Dim items_each, Dim wanted) {
    at.k_slabs = parts_of_at_most(std::max<Dim>(most_blocks, 1), k_blocks);
    while (items_each * at.k_slabs.count < wanted && at.k_slabs.count < k_blocks)
      at.k_slabs.count = std::min(2 * at.k_slabs.count, k_blocks);
  };
  if (at.way == Way::by_slabs) {
    const Dim in_l2 =
        std::clamp<Dim>(l2_floats() * 5 / 8 / (filter_bins * kSlabBlocks * kWidth * kWidth), 1, kSlabBlocks);
    at.c_slabs =
        parts_of_at_most(in_l2 > kGradientBlocks ? in_l2 / kGradientBlocks * kGradientBlocks : in_l2, c_blocks);
    split_filters(kSlabBlocks, at.c_slabs.count, team_size());
    at.gradients = {filter_bins, at.c_slabs.largest(), at.k_slabs.largest() * kWidth};
  }
  if (at.way == Way::by_bins) split_filters(l2_floats() / 2 / (C * kWidth), filter_bins, 4 * team_size());
  return at;
}

Dim WeightsPlan::workspace_floats() const {
  Dim floats = 0;
  for (const Blocking& at : blockings_)
    floats = std::max(floats, at.way == Way::by_slabs ? at.part_floats() + (team_size() - 1) * at.gradients.floats()
                                                      : at.copies * at.part_floats());
  return floats;
}

std::string WeightsPlan::described(std::size_t part) const {
  const Blocking& at = blockings_[part];
  const std::string runs = "runs of " + std::to_string(at.run) + " tiles, ";
  switch (at.way) {
    case Way::by_tiles:
      return runs + "split among threads";
    case Way::by_slabs:
      return runs + std::to_string(at.slabs()) + " slabs of filters";
    case Way::by_bins:
      return runs + "bin by bin";
  }
  return runs;
}

void WeightsPlan::clear(const Operands& operands, Team team) const {
  float* const dw = tensor(operands, Role::dw);
  const Range filters = team.share(filters_.floats() / filters_.filter());
  for (Dim i = filters.begin; i < filters.end; ++i)
    for (Dim tap : dead_taps_) simd::store(dw + i * filters_.filter() + tap * kWidth, simd::zero());
}

void WeightsPlan::run(std::size_t step, const Tensors& tensors, float* workspace, Team team) const {
  const Blocking& at = blockings_[step];
  switch (at.way) {
    case Way::by_tiles:
      return by_tiles(parts_[step], at, tensors, workspace, team);
    case Way::by_slabs:
      return by_slabs(parts_[step], at, tensors, workspace, team);
    case Way::by_bins:
      return by_bins(parts_[step], at, tensors, workspace, team);
  }
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

/// All channels of a run of tiles, by all threads.
void WeightsPlan::transform_run(const Tiling& tiling, const Tensors& tensors, Range tiles, const Bins& x,
                                const Bins& dy, Team team) const {
  for_each_piece(team, x.blocks + dy.blocks, tiles, kLeastRunTiles,
                 [&](Dim block, Range piece) { transform(tiling, tensors, block, piece, tiles.begin, x, dy); });
  team.barrier();
}

/// All of dw, by all threads.
void WeightsPlan::write_filters(const Tiling& tiling, const Bins& gradients, const Tensors& tensors, Team team) const {
  for_each_piece(team, gradients.blocks, {0, gradients.rows}, kWidth, [&](Dim block, Range k) {
    bins_to_filters(gradients, block, 0, tiling, filters_, tensors.taps + block * filters_.block(), k);
  });
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
                .filter_bins = {0, gradients.bins},
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
  write_filters(tiling, gradients, tensors, team);
}

void WeightsPlan::by_bins(const Tiling& tiling, const Blocking& at, const Tensors& tensors, float* workspace,
                          Team team) const {
  Carver carver(workspace);
  const Bins x = carver.take(at.x), dy = carver.take(at.dy), gradients = carver.take(at.gradients);
  for (Dim first = 0; first < tiling.tiles(); first += at.run) {
    const Range span{first, std::min(first + at.run, tiling.tiles())};
    transform_run(tiling, tensors, span, x, dy, team);
    // In turns, for the first bins have more tiles than the last ones.
    for (Dim i = team.rank; i < gradients.bins * at.k_slabs.count; i += team.size) {
      const Dim bin = i % gradients.bins;
      const Range k_blocks = at.k_slabs.part(i / gradients.bins);
      Bins result = gradients;
      result.data = gradients.at(0, 0, k_blocks.begin * kWidth);
      multiply({.tiling = tiling,
                .span = span,
                .dy = dy,
                .x = x,
                .filter_bins = {bin, bin + 1},
                .k_blocks = k_blocks,
                .c_blocks = {0, x.blocks},
                .result = result,
                .accumulate = first > 0});
    }
    team.barrier();
  }
  write_filters(tiling, gradients, tensors, team);
}

void WeightsPlan::by_slabs(const Tiling& tiling, const Blocking& at, const Tensors& tensors, float* workspace,
                           Team team) const {
  Carver carver(workspace);
  const Bins x = carver.take(at.x), dy = carver.take(at.dy);
  const Bins gradients = Carver(carver.rest() + team.rank * at.gradients.floats()).take(at.gradients);
  const Range all{0, tiling.tiles()};
  transform_run(tiling, tensors, all, x, dy, team);
  const Range slabs = team.share(at.slabs());
  for (Dim slab = slabs.begin; slab < slabs.end; ++slab) {
    const Range c_blocks = at.c_slabs.part(slab % at.c_slabs.count);
    const Range k_blocks = at.k_slabs.part(slab / at.c_slabs.count);
    multiply({.tiling = tiling,
              .span = all,
              .dy = dy,
              .x = x,
              .filter_bins = {0, gradients.bins},
              .k_blocks = k_blocks,
              .c_blocks = c_blocks,
              .result = gradients,
              .accumulate = false});
    const Range filters{k_blocks.begin * kWidth, k_blocks.end * kWidth};
    for (Dim block = c_blocks.begin; block < c_blocks.end; ++block)
      bins_to_filters(gradients, block - c_blocks.begin, filters.begin, tiling, filters_,
                      tensors.taps + block * filters_.block(), filters);
  }
}

}  // namespace

std::unique_ptr<Plan> weights_plan(const Problem& problem, int threads, Layout layout, Family family) {
  return std::make_unique<WeightsPlan>(problem, threads, layout, family);
}

}  // namespace convbwd::winograd
