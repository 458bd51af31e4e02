// SPDX-License-Identifier: Apache-2.0
//
// dx[n,c,h,w] = sum over k, r, s of  dy[n,k,p,q] * w[k,c,r,s],  eight channels c to a vector.
//
// A stride makes phases (core/phases.h), each a convolution of stride 1 with a part of the filter; what follows is done
// for every phase. The nest, from the outside in, and where its data live:
//
//   a band of rows of an image     its dy is copied once, with zeros left and right, and stays in L2
//     a few blocks of 8 filters      with 24 channels and all taps: the slab of w, which stays in L1 for the whole band
//       a row, a tile of 4 positions   x 24 channels: twelve sums in registers over the slab (data_tile.h)
//
// Taps above and below the image are cut from the sums, so only those to its left and right are multiplied by zeros.
// Memory: a band of dy a thread. Precision: a dx is a sum of slab sums, of some hundred terms each.
// The nest is that of Goto and van de Geijn's matrix product (ACM TOMS 34, 2008), without lowering anything to one.
#include "avx2/data_gradient.h"

#include <omp.h>

#include <algorithm>
#include <array>
#include <vector>

#include "avx2/data_tile.h"
#include "avx2/packing.h"
#include "core/caches.h"
#include "core/joined_rows.h"
#include "core/phases.h"

namespace convbwd::avx2 {
namespace {

// 2 blocks of 8 filters x 9 taps x 24 channels = 14 KB, which leaves an L1 of 32 room for three rows of dy for the same
// filters. Any value from 14 to 28 is as good; with 10 there is but one block, and 3 % go into adding sums to dx.
constexpr Dim kSlabBytes = 20 << 10;
// Fits the smallest L2 in use (256 KB on old Xeons, 512 KB to 2 MB elsewhere) beside a few slabs.
constexpr Dim kBandBytes = 192 << 10;
// A slab comes from L2 or L3, 96 bytes for 1.5 cycles of FMAs at every position of the band.
constexpr Dim kLeastPositions = 64;

using Tiles = std::array<DataTile, tile_positions(1)>;  // by positions - 1

template <int kVectors>
constexpr Tiles tiles_of() {
  return []<int... kIndex>(std::integer_sequence<int, kIndex...>) { return Tiles{data_tile<kVectors, kIndex + 1>...}; }
  (std::make_integer_sequence<int, int{tile_positions(kVectors)}>{});
}
constexpr std::array kTiles{tiles_of<1>(), tiles_of<2>(), tiles_of<3>()};  // by vectors - 1

class DataGradient final : public Plan {
 public:
  DataGradient(const Problem& problem, int threads);

  std::size_t workspace_bytes() const override {
    return static_cast<std::size_t>(threads_ * panel_floats_) * sizeof(float);
  }
  std::size_t packed_bytes(Role role) const override;
  void pack(Role role, View4<const float> plain, std::byte* packed) const override;
  void unpack(Role, const std::byte* packed, View4<float> plain) const override {
    unpack_images(reinterpret_cast<const float*>(packed), plain, threads_);
  }
  void execute(const Operands& operands, std::span<std::byte> workspace) const override;
  std::string resolved() const override;

 private:
  /// What one thread does at a time: rows of every phase, the outputs they read, some blocks of the group's channels.
  struct Item {
    Dim n, group;
    Range rows, outputs, channel_blocks;
  };
  /// The image positions of one phase of rows and one of columns. Their filters begin at `w` in those of a group.
  struct Lattice {
    Phase row, column;
    Dim w;
    Dim taps() const { return row.taps * column.taps; }
  };
  void pack_filters(View4<const float> w, float* packed) const;
  void copy_band(const Item& item, const float* dy, float* panel) const;
  void sum_lattice(const Item& item, const Lattice& lattice, const float* panel, const float* w, float* dx) const;
  void sum_rows(const Item& item, const Lattice& lattice, DataSum sum, Dim vectors_of_c, const float* dy,
                const float* w, DataTarget target) const;

  /// Floats from a slab's block of filters to the next one, and from a block of channels to the next.
  static Dim filter_block(Dim taps, Dim vectors_of_c) { return taps * kLanes * vectors_of_c * kLanes; }

  Problem problem_;
  int threads_;
  Dim c_vectors_, k_vectors_;  // of one group
  std::vector<Lattice> lattices_;
  Dim w_floats_ = 0;             // of one group
  Range columns_;                // of dy with a margin left and right (before 0, beyond Q), in every row of a panel
  Dim lowest_ = 0, beyond_ = 0;  // rows i of the phases read rows of dy in [i + lowest, i + beyond)
  Parts bands_, channel_parts_;
  Dim panel_plane_ = 0, panel_floats_ = 0;
};

DataGradient::DataGradient(const Problem& problem, int threads)
    : problem_(with_joined_rows(problem)),
      threads_(threads),
      c_vectors_(vectors(problem.C_per_group())),
      k_vectors_(vectors(problem.K_per_group())) {
  const Problem& at = problem_;
  const auto row_phases = phases_of(at.H, at.P, at.R, at.stride_h, at.dilation_h, at.pad_top);
  const auto column_phases = phases_of(at.W, at.Q, at.S, at.stride_w, at.dilation_w, at.pad_left);
  bool first = true;
  for (const Phase& row : row_phases)
    for (const Phase& column : column_phases) {
      lattices_.push_back({row, column, w_floats_});
      const Lattice& lattice = lattices_.back();
      if (lattice.taps() == 0) continue;
      w_floats_ += filter_block(lattice.taps(), c_vectors_) * k_vectors_;
      const Dim row_beyond = row.lead + 1;
      lowest_ = first ? row.lowest() : std::min(lowest_, row.lowest());
      beyond_ = first ? row_beyond : std::max(beyond_, row_beyond);
      columns_.begin = first ? column.lowest() : std::min(columns_.begin, column.lowest());
      columns_.end = first ? column.beyond() : std::max(columns_.end, column.beyond());
      first = false;
    }

  const Dim rows = ceil_div(at.H, at.stride_h), columns = columns_.size();
  const Dim row_bytes = columns * k_vectors_ * kLanes * static_cast<Dim>(sizeof(float));
  const Dim in_cache = kBandBytes / std::max<Dim>(row_bytes, 1) - (beyond_ - lowest_ - 1);
  bands_ = parts_of_at_most(std::max({in_cache, ceil_div(kLeastPositions, at.W), Dim{1}}), rows);

  // About four items a thread, so that the last ones to finish leave little idle.
  const Dim items = at.N * at.G * bands_.count, blocks = ceil_div(c_vectors_, kTileVectors);
  channel_parts_ = {blocks, threads_ == 1 ? 1 : std::min(blocks, ceil_div(4 * threads_, items))};

  // An odd number of cache lines from one block of filters to the next: as powers of two, all of them would meet in the
  // same few sets of L1.
  const Dim panel_rows = std::min(at.P, bands_.largest() + beyond_ - lowest_ - 1);
  panel_plane_ = (panel_rows * columns * kLanes + kLine - 1) / (2 * kLine) * (2 * kLine) + kLine;
  panel_floats_ = k_vectors_ * panel_plane_;
}

std::size_t DataGradient::packed_bytes(Role role) const {
  const Dim pixels = role == Role::dy ? problem_.P * problem_.Q : problem_.H * problem_.W;
  const Dim planes = problem_.N * problem_.G * (role == Role::dy ? k_vectors_ : c_vectors_);
  // At least one vector: a filter without a tap that meets the image still has a layout of its own.
  const Dim floats = role == Role::w ? std::max(problem_.G * w_floats_, kLanes) : planes * pixels * kLanes;
  return static_cast<std::size_t>(floats) * sizeof(float);
}

void DataGradient::pack(Role role, View4<const float> plain, std::byte* packed) const {
  float* to = reinterpret_cast<float*>(packed);
  role == Role::w ? pack_filters(plain, to) : pack_images(plain, to, threads_);
}

// The sub-filters of a group, lattice by lattice. A channel block is three vectors, the last one what is left:
//
//   w[channel block][filter block][t][u][k % 8][c % 24]      t = 0, u = 0:  k0: c0 ... c23 | k1: c0 ... c23 | ... | k7
void DataGradient::pack_filters(View4<const float> w, float* packed) const {
  struct Place {
    Dim lattice = -1, tap = 0;  // of a tap (r, s); -1: it meets nothing
  };
  std::vector<Place> places(static_cast<std::size_t>(problem_.R * problem_.S));
  for (std::size_t i = 0; i < lattices_.size(); ++i) {
    const auto& [row, column, offset] = lattices_[i];
    for (Dim t = 0; t < row.taps; ++t)
      for (Dim u = 0; u < column.taps; ++u)
        places[static_cast<std::size_t>((row.first_tap + t * row.tap_step) * problem_.S + column.first_tap +
                                        u * column.tap_step)] = {static_cast<Dim>(i), t * column.taps + u};
  }
  const Positions taps(w);
  const Dim C = problem_.C_per_group(), K = problem_.K_per_group();
#pragma omp parallel for collapse(3) schedule(static) num_threads(threads_)
  for (Dim group = 0; group < problem_.G; ++group)
    for (Dim k = 0; k < k_vectors_ * kLanes; ++k)
      for (Dim c = 0; c < c_vectors_; ++c)
        taps.for_each_strip(group * K + std::min(k, K - 1), c * kLanes, [&](Dim tap, Dim count, const float* from) {
          const Strip strip =
              k < K ? read_strip(from, w.stride[1], w.stride[3], std::min(kLanes, C - c * kLanes), count) : Strip{};
          for (Dim i = 0; i < count; ++i) {
            const Place place = places[static_cast<std::size_t>(tap + i)];
            if (place.lattice < 0) continue;
            const Lattice& to = lattices_[static_cast<std::size_t>(place.lattice)];
            const Dim first = c / kTileVectors * kTileVectors, width = std::min(kTileVectors, c_vectors_ - first);
            const Dim row = (k / kLanes * to.taps() + place.tap) * kLanes + k % kLanes;
            _mm256_store_ps(packed + group * w_floats_ + to.w + filter_block(to.taps(), first) * k_vectors_ +
                                (row * width + c - first) * kLanes,
                            strip.at[i]);
          }
        });
}

void DataGradient::execute(const Operands& operands, std::span<std::byte> workspace) const {
  const float* dy = reinterpret_cast<const float*>(operands.packed_at(Role::dy));
  const float* w = reinterpret_cast<const float*>(operands.packed_at(Role::w));
  float* dx = reinterpret_cast<float*>(operands.packed_at(Role::dx));
#pragma omp parallel for collapse(4) schedule(dynamic) num_threads(threads_)
  for (Dim n = 0; n < problem_.N; ++n)
    for (Dim group = 0; group < problem_.G; ++group)
      for (Dim band = 0; band < bands_.count; ++band)
        for (Dim part = 0; part < channel_parts_.count; ++part) {
          const Range rows = bands_.part(band);
          const Range outputs{std::max<Dim>(0, rows.begin + lowest_), std::min(problem_.P, rows.end - 1 + beyond_)};
          const Item item{n, group, rows, outputs, channel_parts_.part(part)};
          float* panel = reinterpret_cast<float*>(workspace.data()) + omp_get_thread_num() * panel_floats_;
          copy_band(item, dy, panel);
          for (const Lattice& lattice : lattices_)
            sum_lattice(item, lattice, panel, w + group * w_floats_ + lattice.w, dx);
        }
}

//   panel[filter block][p - outputs.begin][q - columns.begin][k % 8]      0 ... 0 | q = 0: k0 ... k7 | ... | 0 ... 0
void DataGradient::copy_band(const Item& item, const float* dy, float* panel) const {
  const Range copied{std::max<Dim>(0, columns_.begin), std::min(problem_.Q, columns_.end)};
  const Dim image = item.n * problem_.G + item.group;
  for (Dim k = 0; k < k_vectors_; ++k) {
    float* to = panel + k * panel_plane_;
    for (Dim p = item.outputs.begin; p < item.outputs.end; ++p, to += columns_.size() * kLanes) {
      const float* row = dy + ((image * k_vectors_ + k) * problem_.P + p) * problem_.Q * kLanes;
      std::fill(to, to + (copied.begin - columns_.begin) * kLanes, 0.0f);
      std::copy(row + copied.begin * kLanes, row + copied.end * kLanes, to + (copied.begin - columns_.begin) * kLanes);
      std::fill(to + (copied.end - columns_.begin) * kLanes, to + columns_.size() * kLanes, 0.0f);
    }
  }
}

/// All slabs of a lattice, over one band. Without taps there is one empty slab, which stores zeros.
void DataGradient::sum_lattice(const Item& item, const Lattice& lattice, const float* panel, const float* w,
                               float* dx) const {
  const Dim taps = lattice.taps(), plane = problem_.H * problem_.W * kLanes;
  const Dim block_bytes = filter_block(taps, kTileVectors) * static_cast<Dim>(sizeof(float));
  const Parts slabs = taps ? parts_of_at_most(std::max<Dim>(1, kSlabBytes / block_bytes), k_vectors_) : Parts{0, 1};
  for (Dim slab = 0; slab < slabs.count; ++slab)
    for (Dim block = item.channel_blocks.begin; block < item.channel_blocks.end; ++block) {
      const Range filters = slabs.part(slab);
      const Dim c = block * kTileVectors, vectors_of_c = std::min(kTileVectors, c_vectors_ - c);
      const DataSum sum{.k_blocks = filters.size(),
                        .rows = lattice.row.taps,
                        .columns = lattice.column.taps,
                        .dy_k_block = panel_plane_,
                        .dy_row = lattice.row.lag * columns_.size() * kLanes,
                        .dy_column = lattice.column.lag * kLanes,
                        .w_k_block = filter_block(taps, vectors_of_c)};
      const DataTarget target{.dx = dx + ((item.n * problem_.G + item.group) * c_vectors_ + c) * plane,
                              .position = problem_.stride_w * kLanes,
                              .vector = plane,
                              .first = slab == 0};
      sum_rows(item, lattice, sum, vectors_of_c, panel + filters.begin * panel_plane_,
               w + filter_block(taps, c) * k_vectors_ + filters.begin * sum.w_k_block, target);
    }
}

void DataGradient::sum_rows(const Item& item, const Lattice& lattice, DataSum sum, Dim vectors_of_c, const float* dy,
                            const float* w, DataTarget target) const {
  const Tiles& tile = kTiles[static_cast<std::size_t>(vectors_of_c - 1)];
  const Parts tiles = parts_of_at_most(tile_positions(vectors_of_c), lattice.column.count);
  float* plane = target.dx;
  for (Dim i = item.rows.begin; i < std::min(item.rows.end, lattice.row.count); ++i) {
    const Range taps = lattice.row.taps_at(i, problem_.P);
    sum.rows = taps.size();
    if (sum.rows == 0 && !target.first) continue;
    const Dim h = lattice.row.first + i * problem_.stride_h;
    const Dim p = i + lattice.row.lead - taps.begin * lattice.row.lag;
    const float* outputs =
        dy + ((p - item.outputs.begin) * columns_.size() + lattice.column.lead - columns_.begin) * kLanes;
    const float* filters = w + taps.begin * filter_block(lattice.column.taps, vectors_of_c);
    float* row = plane + (h * problem_.W + lattice.column.first) * kLanes;
    for (Dim j = 0; j < tiles.count; ++j) {
      const Range positions = tiles.part(j);
      target.dx = row + positions.begin * target.position;
      tile[static_cast<std::size_t>(positions.size() - 1)](sum, outputs + positions.begin * kLanes, filters, target);
    }
  }
}

std::string DataGradient::resolved() const {
  return "tiles of " + std::to_string(kTileVectors * kLanes) + " channels x " +
         std::to_string(tile_positions(kTileVectors)) + " columns, bands of " + std::to_string(bands_.largest()) +
         " rows, " + std::to_string(lattices_.size()) + " phases";
}

}  // namespace

std::unique_ptr<Plan> data_gradient(const Problem& problem, int threads) {
  return std::make_unique<DataGradient>(problem, threads);
}

}  // namespace convbwd::avx2
