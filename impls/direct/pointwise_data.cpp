// SPDX-License-Identifier: Apache-2.0
//
// dx[n,c,i] = sum over k of  dy[n,k,i] * w[k,c]  of plain nchw tensors: 1x1 filters, stride 1, no pads, pixels i as
// lanes. Packing images to vectors of channels and back would pass over memory four times; here dy is copied into L2
// only, and dx is written where it belongs. The nest, from the outside in:
//
//   a block of pieces, three vectors of pixels each, of one image or of some
//     a slab of filters                               its dy of the block is copied and stays in L2
//       a few channels                                  their w stays in L1
//         a piece                                         its sums stay in registers
//
// Memory: a block of dy a thread. Precision: a dx is a sum of slab sums, of 256 terms at most.
#include <omp.h>

#include <algorithm>
#include <array>
#include <span>
#include <string>

#include "core/caches.h"
#include "core/gemm/register_tile.h"
#include "direct/dense.h"
#include "direct/dense_layout.h"

namespace convbwd::direct {
namespace {

using simd::Vec;

// 16 registers: 4 channels x 3 vectors = 12 sums + 3 loads of dy + 1 broadcast of w = 16;  7 loads for 12 FMAs
// 32 registers: 8 channels x 3 vectors = 24 sums + 3 loads of dy + 1 broadcast of w = 28; 11 loads for 24 FMAs
constexpr int kVectors = 3;
constexpr int kChannels = simd::kRegisters == 32 ? 8 : 4;
// w of a tile and dy of a piece, 4 + 24 KB of an L1 of 32 with 8 lanes; with 16, 8 + 48 KB, dy streams from L2.
constexpr Dim kDepth = 256;
constexpr Dim kMostPieces = 32;  // of a block

/// Where a tile goes: the first `channels` rows, and of the last vector in each the first `last` lanes.
struct Target {
  float* dx;
  Dim row;
  Dim channels, last;
  bool first;  // stored, otherwise added to what is there
};

template <int vectors>
void pointwise_tile(Dim depth, const float* w, const float* dy, const Target& to) {
  gemm::RegisterTile<kChannels, vectors> tile;
  tile.clear();
#pragma GCC unroll 4
  for (Dim k = 0; k < depth; ++k) tile.add_product(w + k * kChannels, 1, dy + k * vectors * kLanes, kLanes);
  if (to.channels == kChannels && to.last == kLanes) return tile.store(to.dx, to.row, kLanes, !to.first);
  alignas(64) float sums[kChannels * vectors * kLanes];
  tile.store(sums, vectors * kLanes, kLanes, false);
  for (Dim c = 0; c < to.channels; ++c)
    for (Dim v = 0; v < vectors; ++v) {
      float* const at = to.dx + c * to.row + v * kLanes;
      const Vec sum = simd::load(sums + (c * vectors + v) * kLanes);
      if (v + 1 < vectors)
        simd::store(at, to.first ? sum : simd::load(at) + sum);
      else
        simd::store(at, to.first ? sum : simd::load(at, to.last) + sum, to.last);
    }
}

using PointwiseTile = void (*)(Dim depth, const float* w, const float* dy, const Target& to);
constexpr std::array<PointwiseTile, kVectors> kTiles{pointwise_tile<1>, pointwise_tile<2>, pointwise_tile<3>};

class PointwiseData final : public Plan {
 public:
  PointwiseData(const Problem& problem, int threads);

  std::size_t workspace_bytes() const override {
    return static_cast<std::size_t>(threads_ * block_floats()) * sizeof(float);
  }
  std::size_t packed_bytes(Role role) const override {
    return role == Role::w ? static_cast<std::size_t>(problem_.G * channel_tiles_ * tile_floats()) * sizeof(float) : 0;
  }
  void pack(Role role, View4<const float> plain, std::byte* packed) const override;
  void execute(const Operands& operands, std::span<std::byte> workspace) const override;
  std::string resolved() const override {
    return "lanes are pixels, tiles of " + std::to_string(kChannels) + " channels x " + std::to_string(kVectors) +
           " vectors, blocks of " + std::to_string(blocks_.largest()) + " of them";
  }

 private:
  /// Some neighbouring pixels of an image.
  struct Piece {
    Dim image;
    Range pixels;
    Dim vectors() const { return ceil_div(pixels.size(), kLanes); }
  };
  using Block = std::array<Piece, kMostPieces>;
  Block block_of(Range pieces) const;
  Dim piece_floats() const { return kVectors * kLanes * slabs_.largest(); }
  Dim block_floats() const { return blocks_.largest() * piece_floats(); }
  Dim tile_floats() const { return K_ * kChannels; }
  void copy(std::span<const Piece> pieces, Range filters, const float* dy, float* panel) const;
  void sum_slab(std::span<const Piece> pieces, Range filters, Range tiles, const float* w, const float* panel,
                float* dx) const;

  Problem problem_;
  int threads_;
  Dim C_, K_, pixels_;  // of one group, of one image
  Dim channel_tiles_;
  Parts cuts_, slabs_, blocks_, channel_parts_;  // cuts: of an image, in vectors; blocks: of all pieces
};

PointwiseData::PointwiseData(const Problem& problem, int threads)
    : problem_(problem),
      threads_(threads),
      C_(problem.C_per_group()),
      K_(problem.K_per_group()),
      pixels_(problem.H * problem.W),
      channel_tiles_(ceil_div(C_, kChannels)),
      cuts_(parts_of_at_most(kVectors, ceil_div(pixels_, kLanes))),
      slabs_(parts_of_at_most(kDepth, K_)) {
  // Beside w and dx, which pass through.
  const Dim pieces_in_l2 = std::min(l2_bytes() / 3 / (piece_floats() * Dim{sizeof(float)}), kMostPieces);
  const Dim pieces = problem.N * cuts_.count;
  blocks_ = parts_of_at_most(std::max<Dim>(1, pieces_in_l2), pieces);
  const Dim items = problem.G * blocks_.count;
  channel_parts_ = {channel_tiles_, threads == 1 ? 1 : std::min(channel_tiles_, ceil_div(4 * threads, items))};
}

PointwiseData::Block PointwiseData::block_of(Range pieces) const {
  Block block;
  for (Dim i = pieces.begin; i < pieces.end; ++i) {
    const Range vectors = cuts_.part(i % cuts_.count);
    block[static_cast<std::size_t>(i - pieces.begin)] = {
        i / cuts_.count, {vectors.begin * kLanes, std::min(pixels_, vectors.end * kLanes)}};
  }
  return block;
}

//   w[group][channels, by kChannels][k][kChannels]    k0: c0 c1 c2 c3 | k1: c0 c1 c2 c3 | ...
//
// Some tiles together, which share the cache lines of w that are read and are few enough to be written side by side.
void PointwiseData::pack(Role, View4<const float> plain, std::byte* packed) const {
  float* const w = reinterpret_cast<float*>(packed);
  const Parts bundles = parts_of_at_most(8, channel_tiles_);
#pragma omp parallel for collapse(2) schedule(static) num_threads(threads_)
  for (Dim group = 0; group < problem_.G; ++group)
    for (Dim bundle = 0; bundle < bundles.count; ++bundle) {
      const Range tiles = bundles.part(bundle);
      for (Dim k = 0; k < K_; ++k)
        for (Dim tile = tiles.begin; tile < tiles.end; ++tile) {
          float* const to = w + (group * channel_tiles_ + tile) * tile_floats() + k * kChannels;
          const Dim first = tile * kChannels, count = std::min<Dim>(kChannels, C_ - first);
          const float* const from = &plain(group * K_ + k, first, 0, 0);
          if (count == kChannels && plain.stride[1] == 1)
            std::copy_n(from, kChannels, to);
          else
            for (Dim c = 0; c < kChannels; ++c) to[c] = c < count ? from[c * plain.stride[1]] : 0.0f;
        }
    }
}

void PointwiseData::execute(const Operands& operands, std::span<std::byte> workspace) const {
  const float* const w = reinterpret_cast<const float*>(operands.packed_at(Role::w));
#pragma omp parallel for collapse(3) schedule(dynamic) num_threads(threads_)
  for (Dim group = 0; group < problem_.G; ++group)
    for (Dim i = 0; i < blocks_.count; ++i)
      for (Dim part = 0; part < channel_parts_.count; ++part) {
        float* const panel = reinterpret_cast<float*>(workspace.data()) + omp_get_thread_num() * block_floats();
        const Block block = block_of(blocks_.part(i));
        const std::span pieces(block.data(), static_cast<std::size_t>(blocks_.part(i).size()));
        for (Dim slab = 0; slab < slabs_.count; ++slab) {
          copy(pieces, slabs_.part(slab), operands.dy.data + group * K_ * pixels_, panel);
          sum_slab(pieces, slabs_.part(slab), channel_parts_.part(part), w + group * channel_tiles_ * tile_floats(),
                   panel, operands.dx.data + group * C_ * pixels_);
        }
      }
}

/// Filter by filter, since the pieces of a row follow one another.
void PointwiseData::copy(std::span<const Piece> pieces, Range filters, const float* dy, float* panel) const {
  for (Dim k = 0; k < filters.size(); ++k) {
    float* of_piece = panel;
    for (const Piece& from : pieces) {
      const float* const row = dy + (from.image * problem_.K + filters.begin + k) * pixels_ + from.pixels.begin;
      float* const to = of_piece + k * from.vectors() * kLanes;
      const Dim whole = from.pixels.size() / kLanes * kLanes;
      for (Dim at = 0; at < whole; at += kLanes) simd::store(to + at, simd::load(row + at));
      if (whole < from.pixels.size()) simd::store(to + whole, simd::load(row + whole, from.pixels.size() - whole));
      of_piece += piece_floats();
    }
  }
}

void PointwiseData::sum_slab(std::span<const Piece> pieces, Range filters, Range tiles, const float* w,
                             const float* panel, float* dx) const {
  for (Dim tile = tiles.begin; tile < tiles.end; ++tile) {
    const float* of_piece = panel;
    for (const Piece& to : pieces) {
      const Dim c = tile * kChannels, vectors = to.vectors();
      kTiles[static_cast<std::size_t>(vectors - 1)](filters.size(),
                                                    w + tile * tile_floats() + filters.begin * kChannels, of_piece,
                                                    {.dx = dx + (to.image * problem_.C + c) * pixels_ + to.pixels.begin,
                                                     .row = pixels_,
                                                     .channels = std::min<Dim>(kChannels, C_ - c),
                                                     .last = to.pixels.size() - (vectors - 1) * kLanes,
                                                     .first = filters.begin == 0});
      of_piece += piece_floats();
    }
  }
}

}  // namespace

std::unique_ptr<Plan> pointwise_data(const Problem& problem, int threads) {
  return std::make_unique<PointwiseData>(problem, threads);
}

}  // namespace convbwd::direct
