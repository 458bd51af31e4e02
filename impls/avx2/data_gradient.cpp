// SPDX-License-Identifier: Apache-2.0
//
// dx[n,c,h,w] = sum over k, r, s of  dy[n,k,p,q] * w[k,c,r,s],  eight channels c to a vector.
//
// A stride makes phases (phases.h), each a convolution of stride 1 with a part of the filter; what follows is done for
// every phase. The nest, from the outside in, and where its data live:
//
//   a band of rows of an image   its dy is copied once, with zeros left and right, and stays in L2
//     a few blocks of 8 filters    with 16 channels and all taps: the slab of w, which stays in L1 for the whole band
//       a row, a tile of 6 positions x 16 channels: twelve sums in registers over the slab (data_tile.h)
//
// Taps above and below the image are cut from the sums, so only those to its left and right are multiplied by zeros.
// Memory: a band of dy a thread. Precision: a dx is a sum of slab sums, of no more than kSlabBytes / 64 terms each.
// The nest is that of Goto and van de Geijn's GEMM (ACM TOMS 34, 2008), without its im2col.
#include "avx2/data_gradient.h"

#include <omp.h>

#include <algorithm>
#include <array>
#include <vector>

#include "avx2/data_tile.h"
#include "avx2/packing.h"
#include "avx2/phases.h"

namespace convbwd::avx2 {
namespace {

// 4 blocks of 8 filters x 9 taps x 16 channels = 18 KB; with three rows of dy for the same filters it fills an L1
// of 32.
constexpr Dim kSlabBytes = 20 << 10;
// Half of the smallest L2 in use (256 KB on old Xeons, 512 KB to 2 MB on all others).
constexpr Dim kBandBytes = 192 << 10;
// A slab comes from L2 or L3 at 64 bytes for as many cycles as the band has positions.
constexpr Dim kLeastPositions = 64;

constexpr Dim kBlockChannels = kTileVectors * kLanes;

template <Dim kVectors, Dim... kIndex>
constexpr auto tiles(std::integer_sequence<Dim, kIndex...>) {
  return std::array<DataTile, sizeof...(kIndex)>{data_tile<kVectors, kIndex + 1>...};
}
constexpr auto kPairTiles = tiles<2>(std::make_integer_sequence<Dim, tile_positions(2)>{});
constexpr auto kLoneTiles = tiles<1>(std::make_integer_sequence<Dim, tile_positions(1)>{});

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
  /// What one thread does at a time: rows [begin, end) of every phase, some of the group's blocks of channels.
  struct Item {
    Dim n, group;
    Range rows, channel_blocks;
  };
  /// A phase of rows crossed with one of columns; its filters lie at `w` in the packed tensor of a group.
  struct Area {
    Phase row, column;
    Dim w;
    Dim taps() const { return row.taps * column.taps; }
  };
  void pack_filters(View4<const float> w, float* packed) const;
  Range outputs_read(Range rows) const;
  void copy_band(const Item& item, Range outputs, const float* dy, float* panel) const;
  void area(const Item& item, const Area& area, Range outputs, const float* panel, const float* w, float* dx) const;
  void rows(const Item& item, const Area& area, Range outputs, DataSum sum, Dim vectors_of_c, const float* dy,
            const float* w, DataTarget target) const;

  /// Floats from a slab's block of filters to the next one, and from a block of channels to the next.
  static Dim filter_block(Dim taps, Dim vectors_of_c) { return taps * kLanes * vectors_of_c * kLanes; }

  Problem problem_;
  int threads_;
  Dim c_vectors_, k_vectors_;  // of one group
  std::vector<Area> areas_;
  Dim w_floats_ = 0;             // of one group
  Range columns_{0, 0};          // of dy with a margin left and right (before 0, beyond Q), in every row of a panel
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
      areas_.push_back({row, column, w_floats_});
      const Area& area = areas_.back();
      if (area.taps() == 0) continue;
      w_floats_ += filter_block(area.taps(), c_vectors_) * k_vectors_;
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
  const Dim panel_rows = std::min(at.P, ceil_div(rows, bands_.count) + beyond_ - lowest_ - 1);
  constexpr Dim kLine = 16;
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

// Filters of a group, phase by phase; the filters of a phase are cut into blocks of two vectors of channels, the last
// of which may be one vector:
//
//   w[channel block][filter block][t][u][k % 8][c % 16]      t = 0, u = 0, k = 0:  c0 ... c15 | k = 1:  c0 ... c15 |
//   ...
void DataGradient::pack_filters(View4<const float> w, float* packed) const {
  struct Place {
    Dim area = -1, tap = 0;  // of a tap (r, s); -1: it meets nothing
  };
  std::vector<Place> places(static_cast<std::size_t>(problem_.R * problem_.S));
  for (std::size_t i = 0; i < areas_.size(); ++i) {
    const auto& [row, column, offset] = areas_[i];
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
            if (place.area < 0) continue;
            const Area& to = areas_[static_cast<std::size_t>(place.area)];
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
          const Item item{n, group, bands_.part(band), channel_parts_.part(part)};
          const Range outputs{std::max<Dim>(0, item.rows.begin + lowest_),
                              std::min(problem_.P, item.rows.end - 1 + beyond_)};
          float* panel = reinterpret_cast<float*>(workspace.data()) + omp_get_thread_num() * panel_floats_;
          copy_band(item, outputs, dy, panel);
          for (const Area& area : areas_) this->area(item, area, outputs, panel, w + group * w_floats_ + area.w, dx);
        }
}

//   panel[filter block][p - outputs.begin][q - columns.begin][k % 8]      0 ... 0 | q = 0: k0 ... k7 | ... | 0 ... 0
void DataGradient::copy_band(const Item& item, Range outputs, const float* dy, float* panel) const {
  const Range copied{std::max<Dim>(0, columns_.begin), std::min(problem_.Q, columns_.end)};
  const Dim image = item.n * problem_.G + item.group;
  for (Dim k = 0; k < k_vectors_; ++k) {
    float* to = panel + k * panel_plane_;
    for (Dim p = outputs.begin; p < outputs.end; ++p, to += columns_.size() * kLanes) {
      const float* row = dy + ((image * k_vectors_ + k) * problem_.P + p) * problem_.Q * kLanes;
      std::fill(to, to + (copied.begin - columns_.begin) * kLanes, 0.0f);
      std::copy(row + copied.begin * kLanes, row + copied.end * kLanes, to + (copied.begin - columns_.begin) * kLanes);
      std::fill(to + (copied.end - columns_.begin) * kLanes, to + columns_.size() * kLanes, 0.0f);
    }
  }
}

/// All slabs of a phase, over one band. Without taps there is one empty slab, which stores zeros.
void DataGradient::area(const Item& item, const Area& area, Range outputs, const float* panel, const float* w,
                        float* dx) const {
  const Dim slab_bytes = filter_block(area.taps(), kTileVectors) * static_cast<Dim>(sizeof(float));
  const Dim blocks = area.taps() ? k_vectors_ : 0;
  const Parts slabs{blocks,
                    std::max<Dim>(1, ceil_div(blocks, std::max<Dim>(1, kSlabBytes / std::max<Dim>(1, slab_bytes))))};
  const Dim plane = problem_.H * problem_.W * kLanes;
  for (Dim slab = 0; slab < slabs.count; ++slab)
    for (Dim block = item.channel_blocks.begin; block < item.channel_blocks.end; ++block) {
      const Dim c = block * kTileVectors, vectors_of_c = std::min(kTileVectors, c_vectors_ - c);
      const DataSum sum{.k_blocks = slabs.part(slab).size(),
                        .rows = area.row.taps,
                        .columns = area.column.taps,
                        .dy_k_block = panel_plane_,
                        .dy_row = area.row.lag * columns_.size() * kLanes,
                        .dy_column = area.column.lag * kLanes,
                        .w_k_block = filter_block(area.taps(), vectors_of_c)};
      rows(item, area, outputs, sum, vectors_of_c, panel + slabs.begin(slab) * panel_plane_,
           w + filter_block(area.taps(), c) * k_vectors_ + slabs.begin(slab) * sum.w_k_block,
           {dx + ((item.n * problem_.G + item.group) * c_vectors_ + c) * plane, problem_.stride_w * kLanes, plane,
            slab == 0});
    }
}

void DataGradient::rows(const Item& item, const Area& area, Range outputs, DataSum sum, Dim vectors_of_c,
                        const float* dy, const float* w, DataTarget target) const {
  const auto tile = vectors_of_c == 1 ? kLoneTiles.data() : kPairTiles.data();
  const Parts tiles = parts_of_at_most(tile_positions(vectors_of_c), area.column.count);
  float* plane = target.dx;
  for (Dim i = item.rows.begin; i < std::min(item.rows.end, area.row.count); ++i) {
    const Range taps = area.row.taps_at(i, problem_.P);
    sum.rows = taps.empty() ? 0 : taps.size();
    if (sum.rows == 0 && !target.first) continue;
    const Dim p = i + area.row.lead - taps.begin * area.row.lag;
    const Dim h = area.row.first + i * problem_.stride_h;
    for (Dim j = 0; j < tiles.count; ++j) {
      const Dim q = tiles.begin(j) + area.column.lead;
      target.dx = plane + (h * problem_.W + area.column.first + tiles.begin(j) * problem_.stride_w) * kLanes;
      tile[tiles.part(j).size() - 1](sum, dy + ((p - outputs.begin) * columns_.size() + q - columns_.begin) * kLanes,
                                     w + taps.begin * area.column.taps * kLanes * vectors_of_c * kLanes, target);
    }
  }
}

std::string DataGradient::resolved() const {
  return "tiles of " + std::to_string(kTileVectors * kLanes) + " channels x " +
         std::to_string(tile_positions(kTileVectors)) + " columns, bands of " +
         std::to_string(ceil_div(bands_.total, bands_.count)) + " rows, " + std::to_string(areas_.size()) + " phases";
}

}  // namespace

std::unique_ptr<Plan> data_gradient(const Problem& problem, int threads) {
  return std::make_unique<DataGradient>(problem, threads);
}

}  // namespace convbwd::avx2
