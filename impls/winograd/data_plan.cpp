// SPDX-License-Identifier: Apache-2.0
//
// dx as a forward convolution of dy with the rotated filters, for each range of the filter's rows:
//
//   for a block of tiles, for each part of the filter:    V, the transformed tiles of dy, all K
//     for 32 channels of dx:
//       for some filters at a time:                       U, the transformed filters
//         M += V U in each bin                            M, tiles x 32, stays in L2
//       tiles of dx from M
//
// Of U and V, one is made ahead and shared by all threads; the other is made where it is used and never leaves the
// cache. *By tiles*, U is made ahead and each thread takes blocks of tiles: many pixels, and so few filters that V fits
// in L2. *By channels* (for some hundred tiles, then 32 channels, then each part, then filters) V is made ahead: nobody
// writes 16/9 (F(2,3)) or 4 times (F(4,3)) all filters to memory. Either way the parts that have the same rows take
// turns, for they read the same dy, and with a stride of two each writes every other pixel of the same cache lines.
//
// What was tried (Zen 3, one thread): the next bin's filters asked for ahead: nothing to 10 % worse; so the
// lines of V before a batch of tiles writes them, and the pixels of the next batch: the transforms got 0 to 20 %
// faster, the whole not beyond the noise. Blocks of tiles of a quarter to all of L2: within the noise. With a stride of
// two the parts of a range of rows in turns: 0 to 9 % faster than one after the other; all four in turns: products a
// third slower (when the filters of one tap still were in every bin).
#include <algorithm>
#include <span>
#include <vector>

#include "core/caches.h"
#include "winograd/packed_plan.h"
#include "winograd/products.h"

namespace convbwd::winograd {
namespace {

using simd::kWidth;

// Filters are read again for each block of tiles: 64 / 24 = 2.7 bytes a cycle for AVX2, which L3 sustains, but memory
// does not. Beyond 8 MB twice as many tiles, even if V leaves L2: 256 channels by F(6,3) 232 -> 270 % of peak @ 56x56,
// 188 -> 219 % @ 28x28 dilated by 2; 128 channels lose 10 % by it (Zen 3).
constexpr Dim kLeastTiles = 24, kMostBlock = 128;
constexpr Dim kFiltersInL3 = 2 * 1024 * 1024;  // floats of one part
// With more than 1.5 times L2 of V in the smallest block, by channels even if there are more tiles: F(4,3), 256 filters
// and channels, 0.90 of the time @ 56x56, F(6,3) 0.95; 512 filters, 256 channels @ 28x28 0.89; 128 filters 1.2 (Zen 3).
// With few channels V is not used often enough to be written to memory.
constexpr Dim kLeastChannels = 128;
// Tiles that are transformed ahead, at most: 7 to 26 MB of V, which L3 holds. Half as many: the filters' transforms are
// 6 to 9 % of the time rather than 3.
constexpr Dim kMostAhead = 256;
// What a thread transforms at a time of them.
constexpr Dim kPieceTiles = 24;
// Channels of dx that are computed together, in vectors.
constexpr Dim kChannelBlocks = 32 / kWidth;

class DataPlan final : public PackedPlan {
 public:
  DataPlan(const Problem& problem, int threads, Layout layout, Family family);

 private:
  struct Blocking {
    Parts tiles;                      // as many blocks in all parts that take turns
    Dim depth;                        // blocks of K
    BinLayout shared, own, products;  // own: tiles if the filters are transformed ahead, filters otherwise
    Dim shared_at = 0;                // floats from the workspace's beginning to the shared bins
  };
  /// The parts [begin, end) that take turns.
  struct Turns {
    std::size_t begin, end;
  };
  /// Of a block.
  Dim most_tiles(const Tiling& tiling) const;
  Blocking tiles_blocking(const Tiling& tiling, Dim blocks) const;
  Blocking channels_blocking(const Tiling& tiling, Dim blocks) const;

  Dim workspace_floats() const override { return shared_floats_ + team_size() * own_floats_; }
  std::string described(std::size_t part) const override;
  void clear(const Operands& operands, Team team) const override;
  /// A step is a range of rows, whose parts take turns; there are none where no column meets a tap.
  std::size_t steps() const override { return columns_.empty() ? 0 : rows_.size(); }
  void run(std::size_t step, const Tensors& tensors, float* workspace, Team team) const override;
  void by_tiles(Turns parts, const Tensors& tensors, float* workspace, Team team) const;
  void by_channels(Turns parts, const Tensors& tensors, float* workspace, Team team) const;
  void run_tiles(std::size_t part, Range tiles, const Tensors& tensors, const Bins& filters, Carver own) const;
  void run_channels(std::size_t part, Range tiles, Range c, const Tensors& tensors, const Bins& tile_bins,
                    Carver own) const;

  Bins shared_bins(std::size_t part, float* workspace) const {
    return {blockings_[part].shared, workspace + blockings_[part].shared_at};
  }
  Carver own_bins(float* workspace, Team team) const {
    return Carver(workspace + shared_floats_ + team.rank * own_floats_);
  }
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

  bool filters_ahead_;
  std::vector<Blocking> blockings_;  // of the parts
  Dim shared_floats_ = 0, own_floats_ = 0;
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
  Dim tiles = 0, bins = 0;
  for (const Tiling& tiling : parts_) {
    tiles = std::max(tiles, tiling.tiles());
    bins = std::max(bins, tiling.bins());
  }
  const bool fits = kLeastTiles * bins * padded(filters_.K) <= l2_floats() * 3 / 2;
  filters_ahead_ = tiles > filters_.C && (fits || filters_.C < kLeastChannels);
  for (std::size_t first = 0; first < parts_.size(); first += columns_.size()) {
    const std::span parts(&parts_[first], columns_.size());
    Dim blocks = 1, shared = 0;
    for (const Tiling& tiling : parts)
      blocks = std::max(blocks, ceil_div(tiling.tiles(), filters_ahead_ ? most_tiles(tiling) : kMostAhead));
    for (const Tiling& tiling : parts) {
      Blocking& at =
          blockings_.emplace_back(filters_ahead_ ? tiles_blocking(tiling, ceil_div(blocks, team_size()) * team_size())
                                                 : channels_blocking(tiling, blocks));
      at.shared_at = shared;
      shared += at.shared.floats();
      own_floats_ = std::max(own_floats_, at.own.floats() + at.products.floats());
    }
    shared_floats_ = std::max(shared_floats_, shared);
  }

  dead_rows_ = uncovered(problem.H, rows_);
  dead_columns_ = uncovered(problem.W, columns_);
  for (Dim h = 0; h < problem.H; ++h)
    if (!std::ranges::binary_search(dead_rows_, h)) live_rows_.push_back(h);
}

Dim DataPlan::most_tiles(const Tiling& tiling) const {
  const Dim filter_floats = tiling.filter_bins() * padded(filters_.K) * filters_.C;
  const Dim tile_floats = tiling.bins() * padded(filters_.K);
  const Dim least = filter_floats > kFiltersInL3 ? 2 * kLeastTiles : kLeastTiles;
  return std::clamp(l2_floats() * 3 / 4 / tile_floats, least, kMostBlock);
}

DataPlan::Blocking DataPlan::tiles_blocking(const Tiling& tiling, Dim blocks) const {
  const Parts tiles{tiling.tiles(), blocks};
  return {.tiles = tiles,
          .depth = kDepth / kWidth,
          .shared = {tiling.filter_bins(), blocks_of(filters_.C), padded(filters_.K)},
          .own = {tiling.bins(), blocks_of(filters_.K), tiles.largest()},
          .products = {tiling.bins(), kChannelBlocks, tiles.largest()}};
}

DataPlan::Blocking DataPlan::channels_blocking(const Tiling& tiling, Dim blocks) const {
  const Parts tiles{tiling.tiles(), blocks};
  const Dim in_l2 = l2_floats() * 5 / 8 / (tiling.filter_bins() * kChannelBlocks * kWidth * kWidth);
  const Dim depth = std::clamp<Dim>(in_l2, 1, std::min(kDepth / kWidth, blocks_of(filters_.K)));
  return {.tiles = tiles,
          .depth = depth,
          .shared = {tiling.bins(), blocks_of(filters_.K), tiles.largest()},
          .own = {tiling.filter_bins(), kChannelBlocks, depth * kWidth},
          .products = {tiling.bins(), kChannelBlocks, tiles.largest()}};
}

std::string DataPlan::described(std::size_t part) const {
  const Blocking& at = blockings_[part];
  const std::string tiles = std::to_string(at.tiles.largest()) + " tiles";
  return filters_ahead_
             ? "blocks of " + tiles + ", filters transformed ahead"
             : std::to_string(at.depth * kWidth) + " filters transformed in cache at a time, " + tiles + " ahead";
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

void DataPlan::run(std::size_t step, const Tensors& tensors, float* workspace, Team team) const {
  const Turns parts{step * columns_.size(), (step + 1) * columns_.size()};
  filters_ahead_ ? by_tiles(parts, tensors, workspace, team) : by_channels(parts, tensors, workspace, team);
}

void DataPlan::by_tiles(Turns parts, const Tensors& tensors, float* workspace, Team team) const {
  for (std::size_t part = parts.begin; part < parts.end; ++part) {
    const Bins filters = shared_bins(part, workspace);
    for_each_piece(team, filters.blocks, {0, filters.rows}, kWidth,
                   [&](Dim c, Range k) { transform_filters(parts_[part], tensors.taps, c, k, filters, c, 0); });
  }
  team.barrier();

  const Range mine = team.share(blockings_[parts.begin].tiles.count);
  for (Dim i = mine.begin; i < mine.end; ++i)
    for (std::size_t part = parts.begin; part < parts.end; ++part)
      run_tiles(part, blockings_[part].tiles.part(i), tensors, shared_bins(part, workspace), own_bins(workspace, team));
}

void DataPlan::by_channels(Turns parts, const Tensors& tensors, float* workspace, Team team) const {
  const Parts chunks = parts_of_at_most(kChannelBlocks, narrow_.blocks());
  const Range mine = team.share(chunks.count);
  for (Dim i = 0; i < blockings_[parts.begin].tiles.count; ++i) {
    if (i > 0) team.barrier();  // the tiles are written again
    for (std::size_t part = parts.begin; part < parts.end; ++part) {
      const Bins bins = shared_bins(part, workspace);
      const Range tiles = blockings_[part].tiles.part(i);
      for_each_piece(team, bins.blocks, tiles, kPieceTiles, [&](Dim k, Range piece) {
        transform_tiles(parts_[part], tensors.wide, k, piece, bins, tiles.begin);
      });
    }
    team.barrier();
    for (Dim chunk = mine.begin; chunk < mine.end; ++chunk)
      for (std::size_t part = parts.begin; part < parts.end; ++part)
        run_channels(part, blockings_[part].tiles.part(i), chunks.part(chunk), tensors, shared_bins(part, workspace),
                     own_bins(workspace, team));
  }
}

void DataPlan::run_tiles(std::size_t part, Range tiles, const Tensors& tensors, const Bins& filters, Carver own) const {
  const Blocking& at = blockings_[part];
  const Tiling& tiling = parts_[part];
  const Bins tile_bins = own.take(at.own), products = own.take(at.products);
  for (Dim k = 0; k < tile_bins.blocks; ++k) transform_tiles(tiling, tensors.wide, k, tiles, tile_bins, tiles.begin);
  for (Dim c = 0; c < filters.blocks; c += kChannelBlocks) {
    const Dim c_blocks = std::min(kChannelBlocks, filters.blocks - c);
    for (Dim k = 0; k < tile_bins.blocks; k += at.depth)
      multiply({.tiling = tiling,
                .span = tiles,
                .tiles = tile_bins,
                .k_blocks = {k, std::min(k + at.depth, tile_bins.blocks)},
                .filters = filters,
                .filter_block = c,
                .filter_row = k * kWidth,
                .result = products,
                .blocks = c_blocks});
    write_tiles(tiling, products, tiles, tiles.begin, c, c_blocks, tensors.narrow);
  }
}

void DataPlan::run_channels(std::size_t part, Range tiles, Range c, const Tensors& tensors, const Bins& tile_bins,
                            Carver own) const {
  const Blocking& at = blockings_[part];
  const Tiling& tiling = parts_[part];
  const Bins filters = own.take(at.own), products = own.take(at.products);
  for (Dim k = 0; k < tile_bins.blocks; k += at.depth) {
    const Range depth{k, std::min(k + at.depth, tile_bins.blocks)};
    for (Dim block = 0; block < c.size(); ++block)
      transform_filters(tiling, tensors.taps, c.begin + block, {depth.begin * kWidth, depth.end * kWidth}, filters,
                        block, depth.begin * kWidth);
    multiply({.tiling = tiling,
              .span = tiles,
              .tiles = tile_bins,
              .k_blocks = depth,
              .filters = filters,
              .filter_block = 0,
              .filter_row = 0,
              .result = products,
              .blocks = c.size()});
  }
  write_tiles(tiling, products, tiles, tiles.begin, c.begin, c.size(), tensors.narrow);
}

}  // namespace

std::unique_ptr<Plan> data_plan(const Problem& problem, int threads, Layout layout, Family family) {
  return std::make_unique<DataPlan>(problem, threads, layout, family);
}

}  // namespace convbwd::winograd
