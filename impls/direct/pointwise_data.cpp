// SPDX-License-Identifier: Apache-2.0
//
// dx[n,c,i] = sum over k of  dy[n,k,i] * w[k,c]  of plain nchw tensors: 1x1 filters, stride 1, no pads, pixels i as
// lanes. Packing images to vectors of channels and back would pass over memory four times; here dy is copied once, into
// L2, and dx is written where it belongs. The nest, from the outside in:
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
// As many filters as leave w of a tile in L1, 256 * 8 * 4 B = 8 KB at most, beside a piece of dy: 48 KB of an L2.
constexpr Dim kDepth = 256;

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
  for (Dim c = 0; c < to.channels; ++c)
    for (Dim v = 0; v < vectors; ++v) {
      float* const at = to.dx + c * to.row + v * kLanes;
      const Dim lanes = v + 1 < vectors ? kLanes : to.last;
      const Vec sum = tile.sum[c][v];
      simd::store(at, to.first ? sum : simd::load(at, lanes) + sum, lanes);
    }
}

using PointwiseTile = void (*)(Dim depth, const float* w, const float* dy, const Target& to);
constexpr std::array<PointwiseTile, kVectors> kTiles{pointwise_tile<1>, pointwise_tile<2>, pointwise_tile<3>};

class PointwiseData final : public Plan {
 public:
  PointwiseData(const Problem& problem, int threads);

  std::size_t workspace_bytes() const override { return static_cast<std::size_t>(threads_ * block_floats()) * 4; }
  std::size_t packed_bytes(Role role) const override {
    return role == Role::w ? static_cast<std::size_t>(problem_.G * channel_tiles_ * tile_floats()) * 4 : 0;
  }
  void pack(Role role, View4<const float> plain, std::byte* packed) const override;
  void unpack(Role, const std::byte*, View4<float>) const override {}
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
  Piece piece(Dim i) const;
  Dim piece_floats() const { return kVectors * kLanes * slabs_.largest(); }
  Dim block_floats() const { return blocks_.largest() * piece_floats(); }
  Dim tile_floats() const { return K_ * kChannels; }
  void copy(Range pieces, Range filters, const float* dy, float* block) const;
  void sum_slab(Range pieces, Range filters, Range tiles, const float* w, const float* block, float* dx) const;

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
  const Dim pieces_in_l2 = l2_bytes() / 3 / (piece_floats() * 4);
  const Dim pieces = problem.N * cuts_.count;
  blocks_ = parts_of_at_most(std::max<Dim>(1, pieces_in_l2), pieces);
  const Dim items = problem.G * blocks_.count;
  channel_parts_ = {channel_tiles_, threads == 1 ? 1 : std::min(channel_tiles_, ceil_div(4 * threads, items))};
}

PointwiseData::Piece PointwiseData::piece(Dim i) const {
  const Range vectors = cuts_.part(i % cuts_.count);
  return {i / cuts_.count, {vectors.begin * kLanes, std::min(pixels_, vectors.end * kLanes)}};
}

//   w[group][channels, by kChannels][k][kChannels]    k0: c0 c1 c2 c3 | k1: c0 c1 c2 c3 | ...
void PointwiseData::pack(Role, View4<const float> plain, std::byte* packed) const {
  float* const w = reinterpret_cast<float*>(packed);
#pragma omp parallel for collapse(2) schedule(static) num_threads(threads_)
  for (Dim group = 0; group < problem_.G; ++group)
    for (Dim tile = 0; tile < channel_tiles_; ++tile) {
      float* to = w + (group * channel_tiles_ + tile) * tile_floats();
      for (Dim k = 0; k < K_; ++k)
        for (Dim c = tile * kChannels; c < (tile + 1) * kChannels; ++c)
          *to++ = c < C_ ? plain(group * K_ + k, c, 0, 0) : 0.0f;
    }
}

void PointwiseData::execute(const Operands& operands, std::span<std::byte> workspace) const {
  const float* const w = reinterpret_cast<const float*>(operands.packed_at(Role::w));
#pragma omp parallel for collapse(3) schedule(dynamic) num_threads(threads_)
  for (Dim group = 0; group < problem_.G; ++group)
    for (Dim i = 0; i < blocks_.count; ++i)
      for (Dim part = 0; part < channel_parts_.count; ++part) {
        float* const block = reinterpret_cast<float*>(workspace.data()) + omp_get_thread_num() * block_floats();
        for (Dim slab = 0; slab < slabs_.count; ++slab) {
          const Range filters = slabs_.part(slab);
          copy(blocks_.part(i), filters, operands.dy.data + group * K_ * pixels_, block);
          sum_slab(blocks_.part(i), filters, channel_parts_.part(part), w + group * channel_tiles_ * tile_floats(),
                   block, operands.dx.data + group * C_ * pixels_);
        }
      }
}

/// Filter by filter, since the pieces of a row follow one another.
void PointwiseData::copy(Range pieces, Range filters, const float* dy, float* block) const {
  for (Dim k = 0; k < filters.size(); ++k)
    for (Dim i = pieces.begin; i < pieces.end; ++i) {
      const Piece from = piece(i);
      const float* const row = dy + (from.image * problem_.K + filters.begin + k) * pixels_ + from.pixels.begin;
      float* const to = block + (i - pieces.begin) * piece_floats() + k * from.vectors() * kLanes;
      const Dim whole = from.pixels.size() / kLanes * kLanes;
      for (Dim at = 0; at < whole; at += kLanes) simd::store(to + at, simd::load(row + at));
      if (whole < from.pixels.size()) simd::store(to + whole, simd::load(row + whole, from.pixels.size() - whole));
    }
}

void PointwiseData::sum_slab(Range pieces, Range filters, Range tiles, const float* w, const float* block,
                             float* dx) const {
  for (Dim tile = tiles.begin; tile < tiles.end; ++tile)
    for (Dim i = pieces.begin; i < pieces.end; ++i) {
      const Piece to = piece(i);
      const Dim c = tile * kChannels, vectors = to.vectors();
      kTiles[static_cast<std::size_t>(vectors - 1)](filters.size(),
                                                    w + tile * tile_floats() + filters.begin * kChannels,
                                                    block + (i - pieces.begin) * piece_floats(),
                                                    {.dx = dx + (to.image * problem_.C + c) * pixels_ + to.pixels.begin,
                                                     .row = pixels_,
                                                     .channels = std::min<Dim>(kChannels, C_ - c),
                                                     .last = to.pixels.size() - (vectors - 1) * kLanes,
                                                     .first = filters.begin == 0});
    }
}

}  // namespace

std::unique_ptr<Plan> pointwise_data(const Problem& problem, int threads) {
  return std::make_unique<PointwiseData>(problem, threads);
}

}  // namespace convbwd::direct
