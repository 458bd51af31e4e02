// SPDX-License-Identifier: Apache-2.0
//
// dx[n,c,h,w] = sum over k, r, s of  dy[n,k,p,q] * w[k,c,r,s],  channels c as lanes.
//
// A stride makes phases (core/phases.h), each a convolution of stride 1 with a part of the filter; what follows is done
// for every phase. The nest, from the outside in, and where its data live:
//
//   a band of rows of an image, a slab of filters   its dy is copied once, with zeros left and right, and stays in L2;
//                                                   packed and without margins it is read where it is
//     a few vectors of channels, all taps             their w stays in cache for the band
//       a row, a tile of positions                      its sums stay in registers (dense_data_tile.h)
//         a tap, the filters of the slab
//
// Taps above and below the image are cut from the sums, and those left and right of it at the ends of tiles; zeros are
// multiplied only where more positions of a tile than kMostCut, but not all, read a margin, or some at either end.
// Memory: a band of dy a thread. Precision: a dx is a sum of slab sums. With AVX2 they have up to 256 terms through one
// tap and 1,700 through several; with 32 registers, whose slabs are larger, 2,700 (AVX-512) or 10,900 (NEON).
// The nest is that of Goto and van de Geijn's matrix product (ACM TOMS 34, 2008), without lowering anything to one.
//
// What was tried (one thread, 3x3 unless another is named). Zen 3, AVX2, times as fast:
//   - filters inside taps, not taps inside blocks of 8 filters, which ended a loop every 48 cycles, and one call for
//     all tiles of a size: 14x14 1.23, 7x7 1.27, 1x1 1.29 to 1.66, strided 1.15 to 1.3, dilated 1.1 to 1.2, odd
//     channels 1.3
//   - slabs outside of bands, so that several images of 7x7 share one pass over w: 1.11; others 0.99 to 1.05
//   - dy with a stride from position to position that is no constant (images as positions, nhwc in place): 0.94
//   - an odd number of cache lines between the blocks of dy where it is not copied: dx 0.99, dw 14x14 0.92
// Zen 4, AVX-512, with taps inside blocks, % of the FMA peak: w from L2 instead of L1 88 -> 92 @ 14x14; taps into the
// margins left out 86 -> 95 @ 7x7; dy copied for 1x1 too a quarter slower, but for nhwc a third faster than packed
#include <omp.h>

#include <algorithm>
#include <span>
#include <string>

#include "core/caches.h"
#include "core/joined_rows.h"
#include "direct/dense.h"
#include "direct/dense_data_filters.h"
#include "direct/dense_data_tile.h"

namespace convbwd::direct {
namespace {

/// Of w, for one block of channels. Several taps find most of dy in L1, so w may come from L2: longer sums, fewer
/// passes over dx. One tap takes all of dy from further away: with 16 registers, where a tile reads w more often, w
/// must come from L1, and where dy does not even come from L2 (`streamed`), fewer blocks of filters are better
/// prefetched.
constexpr Dim slab_bytes(Dim taps, bool streamed) {
  if (simd::kRegisters == 32) return 512 << 10;
  return taps > 1 ? 160 << 10 : streamed ? 12 << 10 : 24 << 10;
}
// Of dy and of the dx that slabs add to: beside a small slab in an L2 of 512 KB. A sum of several taps reads dx more
// seldom.
constexpr Dim kBandBytes = 256 << 10;
// A slab comes from L2 or L3, so it must serve this many positions.
constexpr Dim kLeastPositions = 64;

const DataTiles* tiles_of(Dim vectors) {
  return vectors == 3 ? kDataTiles<3>.data() : vectors == 2 ? kDataTiles<2>.data() : kDataTiles<1>.data();
}

class DenseData final : public Plan {
 public:
  DenseData(const Problem& problem, int threads, Layout layout);

  std::size_t workspace_bytes() const override {
    return static_cast<std::size_t>(threads_ * panel_floats_) * sizeof(float);
  }
  std::size_t packed_bytes(Role role) const override;
  void pack(Role role, View4<const float> plain, std::byte* packed) const override;
  void unpack(Role, const std::byte* packed, View4<float> plain) const override {
    dx_.unpack(reinterpret_cast<const float*>(packed), plain, threads_);
  }
  void execute(const Operands& operands, std::span<std::byte> workspace) const override;
  std::string resolved() const override;

 private:
  /// What one thread does at a time: rows of every phase of some images, the outputs they read, some blocks of the
  /// group's channels.
  struct Item {
    Range images;
    Dim group;
    Range rows, outputs, channel_blocks;
    Range filters;  // a slab, in blocks
  };
  /// The outputs an item reads, by images, blocks of filters and rows; `data` is column columns_.begin of row
  /// outputs.begin.
  struct Band {
    const float* data;
    Dim image, block, row;
  };
  Band band_of(const Item& item, const float* dy, float* panel) const;
  void sum_lattices(const Item& item, std::span<const Lattice> lattices, const Band& band, const float* w,
                    float* dx) const;
  void sum_row(const Item& item, Dim n, Dim i, const Lattice& lattice, const Band& band, Range c, const float* w,
               float* dx) const;

  Problem problem_;
  int threads_;
  bool plain_dy_, plain_dx_;  // as they are handed over: dy nchw or nhwc, dx nhwc
  ImageLayout dy_, dx_;
  Dim k_blocks_;    // of one group
  Parts c_blocks_;  // vectors of channels of one group, as tiles take them
  DataFilters filters_;
  Range columns_{0, 0};  // of dy with a margin left and right (before 0, beyond Q), in every row of a panel
  // How many lattices go through a band in turns, row by row: all where only one has taps. The others' zeros then fill
  // the cache lines that it writes every other pixel of while they are in L1.
  std::size_t in_turns_ = 1;
  Dim lowest_ = 0, beyond_ = 0;  // rows i of the phases read rows of dy in [i + lowest, i + beyond)
  Parts slabs_, bands_, images_, channel_parts_;
  Dim panel_plane_ = 0, panel_floats_ = 0;
};

DenseData::DenseData(const Problem& problem, int threads, Layout layout)
    : problem_(with_joined_rows(problem)),
      threads_(threads),
      plain_dy_(layout != Layout::native),
      plain_dx_(layout == Layout::nhwc && problem.C_per_group() % kLanes == 0),
      dy_(simd::image_layout(problem_, Role::dy, layout)),
      dx_(simd::image_layout(problem_, Role::dx, plain_dx_ ? Layout::nhwc : Layout::native)),
      k_blocks_(simd::blocks_of(problem.K_per_group())),
      c_blocks_(parts_of_at_most(kTileVectors, simd::blocks_of(problem.C_per_group()))),
      filters_(problem_, c_blocks_) {
  const Problem& at = problem_;
  Dim most_taps = 1;
  std::size_t with_taps = 0;
  bool first = true;
  for (const Lattice& lattice : filters_.lattices()) {
    if (lattice.taps() == 0) continue;
    ++with_taps;
    const auto& [row, column, offset] = lattice;
    most_taps = std::max(most_taps, lattice.taps());
    lowest_ = first ? row.lowest() : std::min(lowest_, row.lowest());
    beyond_ = first ? row.lead + 1 : std::max(beyond_, row.lead + 1);
    columns_.begin = first ? column.lowest() : std::min(columns_.begin, column.lowest());
    columns_.end = first ? column.beyond() : std::max(columns_.end, column.beyond());
    first = false;
  }
  if (with_taps == 1) in_turns_ = filters_.lattices().size();

  constexpr Dim kFloat = sizeof(float);
  const Dim block_bytes = most_taps * kLanes * c_blocks_.largest() * kLanes * kFloat;
  const bool streamed = at.P * at.Q * k_blocks_ * kLanes * kFloat > 2 * kBandBytes;
  slabs_ = parts_of_at_most(std::max<Dim>(1, slab_bytes(most_taps, streamed) / block_bytes), k_blocks_);

  const Dim rows = ceil_div(at.H, at.stride_h), columns = columns_.size();
  const Dim dx_row_bytes = slabs_.count > 1 ? at.stride_h * at.W * at.C_per_group() * kFloat / most_taps : 0;
  const Dim row_bytes = columns * slabs_.largest() * kLanes * kFloat + dx_row_bytes;
  const Dim in_cache = kBandBytes / std::max<Dim>(row_bytes, 1) - (beyond_ - lowest_ - 1);
  bands_ = parts_of_at_most(std::max({in_cache, ceil_div(kLeastPositions, at.W), Dim{1}}), rows);

  // Small images together, so that a slab of w is fetched less often; but about four items a thread, so that the last
  // ones to finish leave little idle, if need be by a block of channels each.
  const Dim wanted_items = threads_ == 1 ? 1 : 4 * threads_;
  const Dim images_in_cache = kBandBytes / std::max<Dim>(1, row_bytes * at.P);
  const Dim images_for_items = at.N * at.G * bands_.count * c_blocks_.count / wanted_items;
  images_ = parts_of_at_most(std::clamp<Dim>(std::min(images_in_cache, images_for_items), 1, at.N), at.N);
  const Dim items = images_.count * at.G * bands_.count;
  channel_parts_ = {c_blocks_.count, std::min(c_blocks_.count, ceil_div(wanted_items, items))};

  // An odd number of cache lines from one block of filters to the next: as powers of two, all of them would meet in the
  // same few sets of L1.
  const Dim panel_rows = std::min(at.P, bands_.largest() + beyond_ - lowest_ - 1);
  panel_plane_ = (panel_rows * columns * kLanes + kLine - 1) / (2 * kLine) * (2 * kLine) + kLine;
  const bool copied = plain_dy_ || columns_.begin < 0 || columns_.end > at.Q;
  panel_floats_ = copied ? images_.largest() * slabs_.largest() * panel_plane_ : 0;
}

std::size_t DenseData::packed_bytes(Role role) const {
  if (role == Role::dy ? plain_dy_ : role == Role::dx && plain_dx_) return 0;
  // At least one vector: a filter without a tap that meets the image still has a layout of its own.
  const Dim floats = role == Role::w ? std::max(problem_.G * filters_.group_floats(), kLanes)
                                     : (role == Role::dy ? dy_ : dx_).floats();
  return static_cast<std::size_t>(floats) * sizeof(float);
}

void DenseData::pack(Role role, View4<const float> plain, std::byte* packed) const {
  float* to = reinterpret_cast<float*>(packed);
  role == Role::w ? filters_.pack(plain, to, threads_) : dy_.pack(plain, to, threads_);
}

void DenseData::execute(const Operands& operands, std::span<std::byte> workspace) const {
  const float* w = reinterpret_cast<const float*>(operands.packed_at(Role::w));
  const float* dy = plain_dy_ ? operands.dy.data : reinterpret_cast<const float*>(operands.packed_at(Role::dy));
  float* dx = plain_dx_ ? operands.dx.data : reinterpret_cast<float*>(operands.packed_at(Role::dx));
#pragma omp parallel for collapse(4) schedule(dynamic) num_threads(threads_)
  for (Dim images = 0; images < images_.count; ++images)
    for (Dim group = 0; group < problem_.G; ++group)
      for (Dim band = 0; band < bands_.count; ++band)
        for (Dim part = 0; part < channel_parts_.count; ++part) {
          const Range rows = bands_.part(band);
          const Range outputs{std::max<Dim>(0, rows.begin + lowest_), std::min(problem_.P, rows.end - 1 + beyond_)};
          float* panel = reinterpret_cast<float*>(workspace.data()) + omp_get_thread_num() * panel_floats_;
          for (Dim slab = 0; slab < slabs_.count; ++slab) {
            const Item item{images_.part(images), group, rows, outputs, channel_parts_.part(part), slabs_.part(slab)};
            const Band rows_of_dy = band_of(item, dy, panel);
            for (std::size_t i = 0; i < filters_.lattices().size(); i += in_turns_)
              sum_lattices(item, std::span(filters_.lattices()).subspan(i, in_turns_), rows_of_dy,
                           w + group * filters_.group_floats(), dx);
          }
        }
}

//   panel[image][k / kLanes][p - outputs.begin][q - columns.begin][k % kLanes]     0 ... | q = 0: k0 ... | ... | 0 ...
DenseData::Band DenseData::band_of(const Item& item, const float* dy, float* panel) const {
  const float* rows =
      dy + dy_.offset(item.images.begin, item.group, item.filters.begin) + item.outputs.begin * dy_.row();
  const Dim row_floats = columns_.size() * kLanes;
  if (panel_floats_ == 0) return {rows + columns_.begin * dy_.pixel, dy_.image, dy_.block, dy_.row()};
  for (Dim n = 0; n < item.images.size(); ++n)
    for (Dim k = 0; k < item.filters.size(); ++k)
      for (Dim p = 0; p < item.outputs.size(); ++p)
        copy_block_row(dy_.row_at(rows + dy_.offset(n, 0, k) + p * dy_.row(), item.filters.begin + k), {columns_},
                       panel + (n * slabs_.largest() + k) * panel_plane_ + p * row_floats);
  return {panel, slabs_.largest() * panel_plane_, panel_plane_, row_floats};
}

/// A slab of some lattices, row by row in turns, over one band.
void DenseData::sum_lattices(const Item& item, std::span<const Lattice> lattices, const Band& band, const float* w,
                             float* dx) const {
  for (Dim block = item.channel_blocks.begin; block < item.channel_blocks.end; ++block)
    for (Dim n = 0; n < item.images.size(); ++n)
      for (Dim i = item.rows.begin; i < item.rows.end; ++i)
        for (const Lattice& lattice : lattices)
          if (i < lattice.row.count) sum_row(item, n, i, lattice, band, c_blocks_.part(block), w, dx);
}

/// Row i of a lattice in image n of the item: channels in the vectors c. Without taps the first slab stores zeros.
void DenseData::sum_row(const Item& item, Dim n, Dim i, const Lattice& lattice, const Band& band, Range c,
                        const float* w, float* dx) const {
  const Range taps = lattice.row.taps_at(i, problem_.P);
  const bool first = item.filters.begin == 0;
  if (lattice.taps() * taps.size() == 0 && !first) return;
  const Dim first_filter = item.filters.begin * kLanes;
  const Dim filters = std::min(item.filters.end * kLanes, problem_.K_per_group()) - first_filter;
  DataSum sum{.blocks = filters / kLanes,
              .rest = filters % kLanes,
              .rows = taps.size(),
              .columns = lattice.column.taps,
              .dy_block = band.block,
              .dy_row = lattice.row.lag * band.row,
              .dy_column = lattice.column.lag * kLanes,
              .q = lattice.column.lead,
              .lag = lattice.column.lag,
              .Q = problem_.Q,
              .w_row = lattice.column.taps * filters_.tap_floats(c.size()),
              .w_tap = filters_.tap_floats(c.size())};
  const float* slab = w + lattice.w + lattice.taps() * filters_.tap_floats(c.begin) + taps.begin * sum.w_row +
                      first_filter * c.size() * kLanes;
  const Dim p = i + lattice.row.lead - taps.begin * lattice.row.lag;
  const float* outputs = band.data + n * band.image + (p - item.outputs.begin) * band.row +
                         (lattice.column.lead - columns_.begin) * kLanes;
  const Dim h = lattice.row.first + i * problem_.stride_h;
  DataTarget target{.dx = dx + dx_.offset(item.images.begin + n, item.group, c.begin) + h * dx_.row() +
                          lattice.column.first * dx_.pixel,
                    .position = problem_.stride_w * dx_.pixel,
                    .vector = dx_.block,
                    .first = first};
  for_each_size(tile_positions(c.size()), lattice.column.count, [&](Dim tiles, Dim positions, Dim) {
    tiles_of(c.size())[positions - 1](tiles, sum, outputs, slab, target);
    outputs += tiles * positions * kLanes;
    target.dx += tiles * positions * target.position;
    sum.q += tiles * positions;
  });
}

std::string DenseData::resolved() const {
  return "lanes are channels, tiles of up to " + std::to_string(c_blocks_.largest()) + " vectors x " +
         std::to_string(tile_positions(c_blocks_.largest())) + " columns, bands of " +
         std::to_string(bands_.largest()) + " rows, " + std::to_string(filters_.lattices().size()) + " phases";
}

}  // namespace

std::unique_ptr<Plan> dense_data(const Problem& problem, int threads, Layout layout) {
  return std::make_unique<DenseData>(problem, threads, layout);
}

}  // namespace convbwd::direct
