// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <omp.h>

#include "winograd/packed_plan.h"
#include "winograd/products.h"

namespace convbwd::winograd {

/// dx as a forward convolution of dy, padded by 2 - pad (cropped where that is negative), with the rotated filters:
///
///   for a block of tiles:                     V, the transformed tiles of dy, all K
///     for 32 channels of dx:
///       for 128 filters at a time:            U, the transformed filters, 128 x 32
///         M += V U in each bin                M, tiles x 32, stays in L2
///       tiles of dx from M
///
/// Of U and V, the one that is smaller as a whole is made ahead and shared by all threads; the other is made where it
/// is used and never leaves the cache. So images of many pixels are split into blocks of tiles, and layers with more
/// channels than tiles (7 x 7, 512 channels) by channels, where nobody writes 16/9 of all filters to memory.
template <const auto& kMatrices>
class DataPlan final : public PackedPlan {
  using F = Transforms<kMatrices>;
  static constexpr Dim kBins = F::n * F::n;

 public:
  DataPlan(const Problem& problem, int threads) : PackedPlan(problem, threads) {
    const Dim top = F::r - 1 - problem.pad_top, left = F::r - 1 - problem.pad_left;
    // Pixels of x at or beyond `live` are read by no output: dx is zero. Pixels of dy beyond what the live ones need
    // must not be seen: they would cancel, but not without rounding errors.
    dx_ = {image_layout(Role::dx), std::clamp(problem.P + top, Dim{0}, problem.H),
           std::clamp(problem.Q + left, Dim{0}, problem.W)};
    dy_ = {image_layout(Role::dy), std::min(problem.P, dx_.live_h - top + F::r - 1),
           std::min(problem.Q, dx_.live_w - left + F::r - 1)};
    dx_tiling_ = {F::m, 0, 0, ceil_div(dx_.live_h, F::m), ceil_div(dx_.live_w, F::m), problem.N};
    dy_tiling_ = dx_tiling_;
    dy_tiling_.top = -top;
    dy_tiling_.left = -left;

    filters_ahead_ = tiles() > problem.C;
    if (filters_ahead_) {
      const Dim most = std::clamp(kTileBlockFloats / (kBins * padded(problem.K)), kLeastTiles, kMostTiles);
      const Dim blocks = ceil_div(ceil_div(tiles(), most), threads) * threads;
      tile_block_ = ceil_div(tiles(), blocks);
      shared_ = {kBins, blocks_of(problem.C), padded(problem.K)};
      own_ = {kBins, blocks_of(problem.K), tile_block_};
    } else {
      tile_block_ = tiles();
      shared_ = {kBins, blocks_of(problem.K), tiles()};
      own_ = {kBins, kChannelBlocks, std::min(kDepth, padded(problem.K))};
    }
    products_ = {kBins, kChannelBlocks, tile_block_};
  }

  std::size_t workspace_bytes() const override {
    return static_cast<std::size_t>(shared_.floats() + threads_ * (own_.floats() + products_.floats())) * sizeof(float);
  }

  std::string resolved() const override {
    return filters_ahead_ ? "blocks of " + std::to_string(tile_block_) + " tiles, filters transformed ahead"
                          : "filters transformed in cache, all " + std::to_string(tiles()) + " tiles ahead";
  }

  void execute(const Operands& operands, std::span<std::byte> workspace) const override {
    const float* const dy = tensor(operands, Role::dy);
    const float* const w = tensor(operands, Role::w);
    float* const dx = tensor(operands, Role::dx);
    Carver carver(workspace.data());
    const Bins shared = carver.take(shared_);
#pragma omp parallel num_threads(threads_)
    {
      Carver mine = carver;
      mine.skip(omp_get_thread_num() * (own_.floats() + products_.floats()));
      const Bins own = mine.take(own_), products = mine.take(products_);
      clear_dead_pixels(dx);
      if (filters_ahead_) {
        transform_filters(w, shared);
        by_tiles(dy, shared, own, products, dx);
      } else {
        transform_tiles(dy, shared);
        by_channels(w, shared, own, products, dx);
      }
    }
  }

 private:
  // Transformed tiles of one block: 384 KB, less than half of a 1 MB L2 and not much more than half of a 512 KB one.
  static constexpr Dim kTileBlockFloats = 96 * 1024;
  // Filters are read again for each block of tiles: 64 / 24 = 2.7 bytes a cycle for AVX2, which L3 sustains.
  static constexpr Dim kLeastTiles = 24, kMostTiles = 128;

  Dim tiles() const { return dx_tiling_.tiles(); }

  // All of the following are called by every thread of the team.

  void clear_dead_pixels(float* dx) const {
    const ImageLayout& layout = dx_.layout;
    const Dim pitch = layout.W * simd::kWidth;
#pragma omp for schedule(static) nowait
    for (Dim plane = 0; plane < layout.N * blocks_of(layout.channels); ++plane)
      for (Dim h = 0; h < layout.H; ++h) {
        float* const row = dx + plane * layout.plane() + h * pitch;
        std::fill(row + (h < dx_.live_h ? dx_.live_w * simd::kWidth : 0), row + pitch, 0.0f);
      }
  }

  void transform_filters(const float* w, const Bins& filters) const {
#pragma omp for collapse(2) schedule(static)
    for (Dim block = 0; block < shared_.blocks; ++block)
      for (Dim k = 0; k < shared_.rows; k += simd::kWidth)
        filters_to_bins<F::filter>(filter_layout(), w, block, {k, k + simd::kWidth}, filters, block, k);
  }

  void by_tiles(const float* dy, const Bins& filters, const Bins& tile_bins, const Bins& products, float* dx) const {
#pragma omp for schedule(static)
    for (Dim first = 0; first < tiles(); first += tile_block_) {
      const Range span{first, std::min(first + tile_block_, tiles())};
      for (Dim block = 0; block < tile_bins.blocks; ++block)
        tiles_to_bins<F::input>(dy_, dy, block, dy_tiling_, span, tile_bins, 0);
      for (Dim c = 0; c < filters.blocks; c += kChannelBlocks) {
        const Dim blocks = std::min(kChannelBlocks, filters.blocks - c);
        for (Dim k = 0; k < tile_bins.blocks; k += kDepthBlocks) {
          const Range depth{k, std::min(k + kDepthBlocks, tile_bins.blocks)};
          multiply_tiles(tile_bins, span.size(), depth, filters, c, k * simd::kWidth, products, blocks, k > 0);
        }
        write_tiles(products, span, c, blocks, dx);
      }
    }
  }

  void transform_tiles(const float* dy, const Bins& tile_bins) const {
    const Dim pieces = ceil_div(tiles(), kLeastTiles);
#pragma omp for collapse(2) schedule(static)
    for (Dim block = 0; block < tile_bins.blocks; ++block)
      for (Dim piece = 0; piece < pieces; ++piece) {
        const Range span = part(tiles(), pieces, piece);
        tiles_to_bins<F::input>(dy_, dy, block, dy_tiling_, span, tile_bins, span.begin);
      }
  }

  void by_channels(const float* w, const Bins& tile_bins, const Bins& filter_bins, const Bins& products,
                   float* dx) const {
    const Dim all = blocks_of(problem_.C);
#pragma omp for schedule(dynamic)
    for (Dim c = 0; c < all; c += kChannelBlocks) {
      const Dim blocks = std::min(kChannelBlocks, all - c);
      for (Dim k = 0; k < tile_bins.blocks; k += kDepthBlocks) {
        const Range depth{k, std::min(k + kDepthBlocks, tile_bins.blocks)};
        for (Dim block = 0; block < blocks; ++block)
          filters_to_bins<F::filter>(filter_layout(), w, c + block,
                                     {depth.begin * simd::kWidth, depth.end * simd::kWidth}, filter_bins, block, 0);
        multiply_tiles(tile_bins, tiles(), depth, filter_bins, 0, 0, products, blocks, k > 0);
      }
      write_tiles(products, {0, tiles()}, c, blocks, dx);
    }
  }

  void write_tiles(const Bins& products, Range span, Dim c, Dim blocks, float* dx) const {
    for (Dim block = 0; block < blocks; ++block)
      bins_to_tiles<F::output>(products, block, dx_tiling_, span, dx_, dx, c + block);
  }

  Window dx_, dy_;
  Tiling dx_tiling_, dy_tiling_;
  bool filters_ahead_;
  Dim tile_block_;
  BinLayout shared_, own_, products_;  // own_: tiles if the filters are transformed ahead, filters otherwise
};

}  // namespace convbwd::winograd
