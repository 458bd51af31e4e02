// SPDX-License-Identifier: Apache-2.0
#include "winograd/products.h"

#include <array>
#include <utility>

#include "core/gemm/register_tile.h"
#include "core/stage_clock.h"
#include "winograd/stages.h"

namespace convbwd::winograd {
namespace {

using gemm::RegisterTile;
using simd::kWidth;

// Data gradient: tiles down, lanes of C across; A is [block of k][tile][lane of k], so the broadcasts of one k are
// kWidth floats apart, and those of the next k follow one float later.
//   16 registers:  6 x 2 sums + 2 loads + 1 broadcast = 15       32 registers: 14 x 2 sums + 2 loads + 1 broadcast = 31
constexpr int kTileRows = simd::kRegisters == 32 ? 14 : 6;
constexpr int kTileVectors = 2;

/// Neighbouring panels of as many tiles each.
struct TilePanels {
  Dim count, k_blocks;
  const float* tiles;
  Dim tile_block;
  const float* filters;
  Dim filter_block;
  float* result;
  Dim result_block;
  bool accumulate;
  Dim ahead;  // floats from a panel's tiles to those to ask for
};

template <int rows, int vectors>
void multiply(const TilePanels& panels) {
  const float* tiles = panels.tiles;
  float* result = panels.result;
  for (Dim panel = 0; panel < panels.count; ++panel, tiles += rows * kWidth, result += rows * kWidth) {
    RegisterTile<rows, vectors> tile;
    tile.clear();
    const float* filters = panels.filters;
    const float* of_block = tiles;
    for (Dim block = 0; block < panels.k_blocks; ++block, of_block += panels.tile_block) {
      for (Dim at = 0; at < rows * kWidth; at += kLine) __builtin_prefetch(of_block + panels.ahead + at);
#pragma GCC unroll 4
      for (Dim lane = 0; lane < kWidth; ++lane, filters += kWidth)
        tile.add_product(of_block + lane, kWidth, filters, panels.filter_block);
    }
    tile.store(result, kWidth, panels.result_block, panels.accumulate);
  }
}

using MultiplyTiles = void (*)(const TilePanels&);

template <int vectors>
constexpr auto kMultiplyTiles = []<int... i>(std::integer_sequence<int, i...>) {
  return std::array<MultiplyTiles, kTileRows>{multiply<i + 1, vectors>...};
}
(std::make_integer_sequence<int, kTileRows>{});

// Weight gradient: lanes of K down, lanes of C across, one step a tile. The rows are a vector or a part of it, so that
// they need no tails.
//   16 registers: 4 x 3 sums + 3 loads + 1 broadcast = 16, 0.58 loads an FMA; without FMA, products need a register too
//   32 registers: 8 x 3 sums + 3 loads + 1 broadcast = 28, 0.46 loads an FMA
constexpr int kLaneRows = std::min(static_cast<int>(kWidth), simd::kRegisters == 32 ? 8 : 4);
static_assert(kWidth % kLaneRows == 0, "rows of a register tile would straddle two vectors of dy");

template <int vectors>
void multiply(Dim steps, const float* dy, const float* x, Dim x_block, float* result, Dim result_block,
              bool accumulate) {
  RegisterTile<kLaneRows, vectors> tile;
  tile.clear();
#pragma GCC unroll 4
  for (Dim step = 0; step < steps; ++step) tile.add_product(dy + step * kWidth, 1, x + step * kWidth, x_block);
  tile.store(result, kWidth, result_block, accumulate);
}

using MultiplyGradients = void (*)(Dim, const float*, const float*, Dim, float*, Dim, bool);
constexpr MultiplyGradients kMultiplyGradients[] = {multiply<1>, multiply<2>, multiply<kGradientBlocks>};

/// The rows of the bins that hold the tiles of `span` with this bin.
Range rows_of(const Tiling& tiling, Range span, Dim bin) {
  const Range all = tiling.tiles_of(bin);
  return {std::max(span.begin, all.begin) - span.begin, std::min(span.end, all.end) - span.begin};
}

}  // namespace

void multiply(const TileProducts& at) {
  const StageTimer timer(kProducts);
  for (Dim bin = 0; bin < at.tiling.bins(); ++bin) {
    const Dim filter_bin = at.tiling.filter_bin(bin);
    const Range rows = rows_of(at.tiling, at.span, bin);
    for (Dim block = 0; block < at.blocks; block += kTileVectors) {
      const auto& table = at.blocks - block >= kTileVectors ? kMultiplyTiles<kTileVectors> : kMultiplyTiles<1>;
      // The first pass over a bin's tiles asks for its next panel, the last one for the next bin's: 7x7, stride 2,
      // where tiles come from L3, 0.88 of the time on one thread and on two (Zen 3).
      const bool last = block + kTileVectors >= at.blocks;
      for_each_size(kTileRows, rows.size(), [&](Dim panels, Dim size, Dim begin) {
        table[static_cast<std::size_t>(size - 1)](
            {panels, at.k_blocks.size(), at.tiles.at(bin, at.k_blocks.begin, rows.begin + begin),
             at.tiles.block_stride(), at.filters.at(filter_bin, at.filter_block + block, at.filter_row),
             at.filters.block_stride(), at.result.at(bin, block, rows.begin + begin), at.result.block_stride(),
             at.k_blocks.begin > 0, last ? at.tiles.bin_stride() : size * kWidth});
      });
    }
  }
}

void multiply(const GradientProducts& at) {
  const StageTimer timer(kProducts);
  const Parts panels = parts_of_at_most(kGradientBlocks, at.c_blocks.size());
  Dim begun = at.filter_bins.begin;  // those before it have a sum
  for (Dim bin = 0; bin < at.tiling.bins(); ++bin) {
    const Dim filter_bin = at.tiling.filter_bin(bin);
    if (filter_bin < at.filter_bins.begin || filter_bin >= at.filter_bins.end) continue;
    const Range rows = rows_of(at.tiling, at.span, bin);
    const bool first = filter_bin == begun && !at.accumulate;
    begun = std::max(begun, filter_bin + 1);
    // At least one run of steps, if only to store zeros.
    for (Dim begin = rows.begin; begin == rows.begin || begin < rows.end; begin += kDepth) {
      const Dim steps = std::clamp<Dim>(rows.end - begin, 0, kDepth);
      const bool accumulate = !first || begin > rows.begin;
      if (steps == 0 && accumulate) continue;
      for (Dim panel = 0; panel < panels.count; ++panel) {
        const Range span = panels.part(panel);
        const auto product = kMultiplyGradients[span.size() - 1];
        for (Dim block = at.k_blocks.begin; block < at.k_blocks.end; ++block)
          for (Dim lane = 0; lane < kWidth; lane += kLaneRows)
            product(steps, at.dy.at(bin, block, begin) + lane, at.x.at(bin, at.c_blocks.begin + span.begin, begin),
                    at.x.block_stride(),
                    at.result.at(filter_bin, span.begin, (block - at.k_blocks.begin) * kWidth + lane),
                    at.result.block_stride(), accumulate);
      }
    }
  }
}

}  // namespace convbwd::winograd
