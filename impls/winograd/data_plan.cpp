// SPDX-License-Identifier: Apache-2.0
//
// dx as a forward convolution of dy with the rotated filters, for each part of the filter:
//
//   for a block of tiles:                     V, the transformed tiles of dy, all K
//     for 32 channels of dx:
//       for some filters at a time:           U, the transformed filters
//         M += V U in each bin                M, tiles x 32, stays in L2
//       tiles of dx from M
//
// Of U and V, the one that is smaller as a whole is made ahead and shared by all threads; the other is made where it is
// used and never leaves the cache. So images of many pixels are split into blocks of tiles, and layers with more
// channels than tiles (7 x 7, 512 channels) by channels, where nobody writes 16/9 (F(2,3)) or 4 times (F(4,3)) all
// filters to memory.
//
// What was tried (Zen 3, one thread): the next bin's tiles and filters asked for ahead: nothing to 10 % worse; blocks
// of tiles of a quarter to all of L2: within the noise.
#include <algorithm>

#include "core/caches.h"
#include "winograd/packed_plan.h"
#include "winograd/products.h"

namespace convbwd::winograd {
namespace {

using simd::kWidth;

// Filters are read again for each block of tiles: 64 / 24 = 2.7 bytes a cycle for AVX2, which L3 sustains.
constexpr Dim kLeastTiles = 24, kMostBlock = 128;
// Channels of dx that are computed together, in vectors.
constexpr Dim kChannelBlocks = 32 / kWidth;

class DataPlan final : public PackedPlan {
 public:
  DataPlan(const Problem& problem, int threads, Layout layout, Family family);

 private:
  struct Blocking {
    bool filters_ahead;
    Dim tile_block, depth;            // tiles, blocks of K
    BinLayout shared, own, products;  // own: tiles if the filters are transformed ahead, filters otherwise
  };
  Blocking blocking_of(const Tiling& tiling) const;

  Dim workspace_floats(std::size_t part, int team_size) const override {
    const Blocking& at = blockings_[part];
    return at.shared.floats() + team_size * (at.own.floats() + at.products.floats());
  }
  std::string described(std::size_t part) const override;
  void clear(const Operands& operands, Team team) const override;
  void run(std::size_t part, const Tensors& tensors, float* workspace, Team team) const override;

  void by_tiles(const Tiling& tiling, const Blocking& at, const Tensors& tensors, float* workspace, Team team) const;
  void by_channels(const Tiling& tiling, const Blocking& at, const Tensors& tensors, float* workspace, Team team) const;
  void transform_filters(const Tiling& tiling, const float* taps, Dim c, Range k, const Bins& bins, Dim block,
                         Dim first_row) const {
    filters_to_bins(filters_, taps + c * filters_.block(), k, tiling, bins, block, first_row);
  }
  void transform_tiles(const Tiling& tiling, const float* dy, Dim k, Range tiles, const Bins& bins,
                       Dim first_row) const {
    wide_tiles_to_bins({wide_, dy + k * wide_.block}, tiling, tiles, bins, k, first_row);
  }
  void write_tiles(const Tiling& tiling, const Bins& products, Range tiles, Dim first_row, Dim c, Dim blocks,
                   float* dx) const {
    for (Dim block = 0; block < blocks; ++block)
      bins_to_narrow_tiles(products, block, first_row, tiling, tiles, {narrow_, dx + (c + block) * narrow_.block});
  }

  std::vector<Blocking> blockings_;
  std::vector<Dim> dead_rows_, dead_columns_, live_rows_;  // pixels of dx in dead ones are read by no output
};

/// The positions that no tile of the parts covers.
std::vector<Dim> uncovered(Dim extent, const std::vector<AxisTiling>& parts) {
  std::vector<bool> covered(static_cast<std::size_t>(extent));
  for (const AxisTiling& part : parts)
    for (const auto& tiles : part.tiles)
      for (const TileSpan& tile : tiles)
        for (Dim i = 0; i < tile.narrow.live.end; ++i)
          covered[static_cast<std::size_t>(tile.narrow.first + i * part.narrow_step)] = true;
  std::vector<Dim> positions;
  for (Dim at = 0; at < extent; ++at)
    if (!covered[static_cast<std::size_t>(at)]) positions.push_back(at);
  return positions;
}

DataPlan::DataPlan(const Problem& problem, int threads, Layout layout, Family family)
    : PackedPlan(problem, Pass::data, threads, layout, family) {
  for (const Tiling& tiling : parts_) blockings_.push_back(blocking_of(tiling));
  dead_rows_ = uncovered(problem.H, rows_);
  dead_columns_ = uncovered(problem.W, columns_);
  for (Dim h = 0; h < problem.H; ++h)
    if (!std::ranges::binary_search(dead_rows_, h)) live_rows_.push_back(h);
}

DataPlan::Blocking DataPlan::blocking_of(const Tiling& tiling) const {
  const Dim l2_floats = l2_bytes() / static_cast<Dim>(sizeof(float));
  const Dim bins = tiling.bins(), tiles = tiling.tiles(), K = padded(filters_.K), C = filters_.C;
  Blocking at{};
  at.filters_ahead = tiles > C;
  if (at.filters_ahead) {
    const Dim most = std::clamp(l2_floats * 3 / 4 / (bins * K), kLeastTiles, kMostBlock);
    const Dim blocks = ceil_div(ceil_div(tiles, most), team_size()) * team_size();
    at.tile_block = ceil_div(tiles, blocks);
    at.depth = kDepth / kWidth;
    at.shared = {bins, blocks_of(C), K};
    at.own = {bins, blocks_of(filters_.K), at.tile_block};
  } else {
    at.tile_block = tiles;
    const Dim in_l2 = l2_floats * 5 / 8 / (bins * kChannelBlocks * kWidth * kWidth);
    at.depth = std::clamp<Dim>(in_l2, 1, std::min(kDepth / kWidth, blocks_of(filters_.K)));
    at.shared = {bins, blocks_of(filters_.K), tiles};
    at.own = {bins, kChannelBlocks, at.depth * kWidth};
  }
  at.products = {bins, kChannelBlocks, at.tile_block};
  return at;
}

std::string DataPlan::described(std::size_t part) const {
  const Blocking& at = blockings_[part];
  return at.filters_ahead ? "blocks of " + std::to_string(at.tile_block) + " tiles, filters transformed ahead"
                          : std::to_string(at.depth * kWidth) + " filters transformed in cache at a time, all " +
                                std::to_string(at.tile_block) + " tiles ahead";
}

void DataPlan::clear(const Operands& operands, Team team) const {
  float* const dx = tensor(operands, Role::dx);
  const auto zero = [&](Dim plane, Dim h, Dim w) {
    const Dim n = plane / (narrow_.G * narrow_.blocks()), g = plane / narrow_.blocks() % narrow_.G;
    simd::store(dx + narrow_.offset(n, g, plane % narrow_.blocks()) + h * narrow_.row() + w * narrow_.pixel,
                simd::zero());
  };
  const Range planes = team.share(narrow_.N * narrow_.G * narrow_.blocks());
  for (Dim plane = planes.begin; plane < planes.end; ++plane) {
    for (Dim h : dead_rows_)
      for (Dim w = 0; w < narrow_.W; ++w) zero(plane, h, w);
    for (Dim h : live_rows_)
      for (Dim w : dead_columns_) zero(plane, h, w);
  }
}

void DataPlan::run(std::size_t part, const Tensors& tensors, float* workspace, Team team) const {
  const Blocking& at = blockings_[part];
  at.filters_ahead ? by_tiles(parts_[part], at, tensors, workspace, team)
                   : by_channels(parts_[part], at, tensors, workspace, team);
}

void DataPlan::by_tiles(const Tiling& tiling, const Blocking& at, const Tensors& tensors, float* workspace,
                        Team team) const {
  Carver carver(workspace);
  const Bins filters = carver.take(at.shared);
  Carver mine(carver.rest() + team.rank * (at.own.floats() + at.products.floats()));
  const Bins tile_bins = mine.take(at.own), products = mine.take(at.products);

  const Dim vectors = at.shared.rows / kWidth;
  const Range share = team.share(filters.blocks * vectors);
  for (Dim i = share.begin; i < share.end; ++i) {
    const Dim k = i % vectors * kWidth;
    transform_filters(tiling, tensors.taps, i / vectors, {k, k + kWidth}, filters, i / vectors, 0);
  }
  team.barrier();

  const Range blocks = team.share(ceil_div(tiling.tiles(), at.tile_block));
  for (Dim i = blocks.begin; i < blocks.end; ++i) {
    const Range span{i * at.tile_block, std::min((i + 1) * at.tile_block, tiling.tiles())};
    for (Dim k = 0; k < tile_bins.blocks; ++k) transform_tiles(tiling, tensors.wide, k, span, tile_bins, span.begin);
    for (Dim c = 0; c < filters.blocks; c += kChannelBlocks) {
      const Dim c_blocks = std::min(kChannelBlocks, filters.blocks - c);
      for (Dim k = 0; k < tile_bins.blocks; k += at.depth)
        multiply({.tiling = tiling,
                  .span = span,
                  .tiles = tile_bins,
                  .k_blocks = {k, std::min(k + at.depth, tile_bins.blocks)},
                  .filters = filters,
                  .filter_block = c,
                  .filter_row = k * kWidth,
                  .result = products,
                  .blocks = c_blocks});
      write_tiles(tiling, products, span, span.begin, c, c_blocks, tensors.narrow);
    }
  }
}

void DataPlan::by_channels(const Tiling& tiling, const Blocking& at, const Tensors& tensors, float* workspace,
                           Team team) const {
  Carver carver(workspace);
  const Bins tile_bins = carver.take(at.shared);
  Carver mine(carver.rest() + team.rank * (at.own.floats() + at.products.floats()));
  const Bins filters = mine.take(at.own), products = mine.take(at.products);
  const Range all{0, tiling.tiles()};

  const Parts pieces = parts_of_at_most(kLeastTiles, tiling.tiles());
  const Range share = team.share(tile_bins.blocks * pieces.count);
  for (Dim i = share.begin; i < share.end; ++i)
    transform_tiles(tiling, tensors.wide, i / pieces.count, pieces.part(i % pieces.count), tile_bins, 0);
  team.barrier();

  const Parts chunks = parts_of_at_most(kChannelBlocks, narrow_.blocks());
  const Range mine_of_c = team.share(chunks.count);
  for (Dim chunk = mine_of_c.begin; chunk < mine_of_c.end; ++chunk) {
    const Range c = chunks.part(chunk);
    for (Dim k = 0; k < tile_bins.blocks; k += at.depth) {
      const Range depth{k, std::min(k + at.depth, tile_bins.blocks)};
      for (Dim block = 0; block < c.size(); ++block)
        transform_filters(tiling, tensors.taps, c.begin + block, {depth.begin * kWidth, depth.end * kWidth}, filters,
                          block, depth.begin * kWidth);
      multiply({.tiling = tiling,
                .span = all,
                .tiles = tile_bins,
                .k_blocks = depth,
                .filters = filters,
                .filter_block = 0,
                .filter_row = 0,
                .result = products,
                .blocks = c.size()});
    }
    write_tiles(tiling, products, all, 0, c.begin, c.size(), tensors.narrow);
  }
}

}  // namespace

std::unique_ptr<Plan> data_plan(const Problem& problem, int threads, Layout layout, Family family) {
  return std::make_unique<DataPlan>(problem, threads, layout, family);
}

}  // namespace convbwd::winograd
