// SPDX-License-Identifier: Apache-2.0
#include "winograd/products.h"

#include <array>
#include <utility>

#include "core/gemm/register_tile.h"

namespace convbwd::winograd {
namespace {

using gemm::RegisterTile;
using simd::kWidth;

// Data gradient: tiles down, lanes of C across; A is [block of k][tile][lane of k], so the broadcasts of one k are
// kWidth floats apart, and those of the next k follow one float later.
//   16 registers:  6 x 2 sums + 2 loads + 1 broadcast = 15       32 registers: 14 x 2 sums + 2 loads + 1 broadcast = 31
constexpr int kTileRows = simd::kRegisters == 32 ? 14 : 6;
constexpr int kTileVectors = 2;

struct TilesByFilters {
  Dim k_blocks;
  const float* tiles;
  Dim tile_block;
  const float* filters;
  Dim filter_block;
  float* result;
  Dim result_block;
  bool accumulate;
};

template <int rows, int vectors>
void multiply(const TilesByFilters& args) {
  RegisterTile<rows, vectors> tile;
  tile.clear();
  const float* filters = args.filters;
  for (Dim block = 0; block < args.k_blocks; ++block) {
    const float* tiles = args.tiles + block * args.tile_block;
#pragma GCC unroll 4
    for (Dim lane = 0; lane < kWidth; ++lane, filters += kWidth)
      tile.add_product(tiles + lane, kWidth, filters, args.filter_block);
  }
  tile.store(args.result, kWidth, args.result_block, args.accumulate);
}

using MultiplyTiles = void (*)(const TilesByFilters&);

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
constexpr int kLaneVectors = kWidth == 4 ? 2 : 3;
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
constexpr MultiplyGradients kMultiplyGradients[] = {multiply<1>, multiply<2>, multiply<kLaneVectors>};

}  // namespace

void multiply_tiles(const Bins& tiles, Dim rows, Range k_blocks, const Bins& filters, Dim filter_block, Dim filter_row,
                    const Bins& result, Dim blocks, bool accumulate) {
  const Dim panels = ceil_div(rows, kTileRows);
  for (Dim bin = 0; bin < result.bins; ++bin)
    for (Dim block = 0; block < blocks; block += kTileVectors)
      for (Dim panel = 0; panel < panels; ++panel) {
        const Range span = part(rows, panels, panel);
        const TilesByFilters args{k_blocks.size(),        tiles.at(bin, k_blocks.begin, span.begin),
                                  tiles.block_stride(),   filters.at(bin, filter_block + block, filter_row),
                                  filters.block_stride(), result.at(bin, block, span.begin),
                                  result.block_stride(),  accumulate};
        const auto& table = blocks - block >= kTileVectors ? kMultiplyTiles<kTileVectors> : kMultiplyTiles<1>;
        table[static_cast<std::size_t>(span.size() - 1)](args);
      }
}

void multiply_gradients(const Bins& dy, const Bins& x, Dim rows, Range k_blocks, Range c_blocks, const Bins& result,
                        bool accumulate) {
  const Dim panels = ceil_div(c_blocks.size(), kLaneVectors);
  for (Dim bin = 0; bin < result.bins; ++bin)
    for (Dim begin = 0; begin < rows; begin += kDepth) {
      const Dim steps = std::min(kDepth, rows - begin);
      for (Dim panel = 0; panel < panels; ++panel) {
        const Range span = part(c_blocks.size(), panels, panel);
        const auto product = kMultiplyGradients[span.size() - 1];
        for (Dim block = k_blocks.begin; block < k_blocks.end; ++block)
          for (Dim lane = 0; lane < kWidth; lane += kLaneRows)
            product(steps, dy.at(bin, block, begin) + lane, x.at(bin, c_blocks.begin + span.begin, begin),
                    x.block_stride(), result.at(bin, span.begin, (block - k_blocks.begin) * kWidth + lane),
                    result.block_stride(), accumulate || begin > 0);
      }
    }
}

}  // namespace convbwd::winograd
