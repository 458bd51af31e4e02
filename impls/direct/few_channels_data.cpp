// SPDX-License-Identifier: Apache-2.0
#include <omp.h>

#include <algorithm>
#include <string>
#include <vector>

#include "core/ranges.h"
#include "direct/few_channels.h"
#include "direct/few_channels_patches.h"
#include "direct/few_channels_phases.h"
#include "direct/few_channels_pixel_tile.h"
#include "direct/few_channels_rows.h"

namespace convbwd::direct {

constinit const PixelTiles kPixelTiles = pixel_tiles();

namespace {

using simd::kWidth;

// Of an L2 of 1 MB, half; the outputs of a band and the dy of the next one take less than the rest.
constexpr Dim kBandBytes = 512 << 10;
// Of dy, for the tiles that share it: half an L1.
constexpr Dim kSlabBytes = 16 << 10;
constexpr Dim kFloatBytes = sizeof(float);

/// An odd number of cache lines, and at least a vector more than asked for, from a plane to the next: as powers of two
/// they would meet in few sets of a cache.
constexpr Dim plane_floats(Dim floats) { return floats / (2 * kLine) * (2 * kLine) + 3 * kLine; }

class DataGradient final : public Plan {
 public:
  DataGradient(const PhaseSums& sums, int threads, bool plain);

  std::size_t workspace_bytes() const override {
    return static_cast<std::size_t>(threads_ * (panel_floats_ + out_floats_) * kFloatBytes);
  }
  std::size_t packed_bytes(Role role) const override;
  void pack(Role role, View4<const float> plain, std::byte* packed) const override;
  void execute(const Operands& operands, std::span<std::byte> workspace) const override;
  std::string resolved() const override;

 private:
  using Sum = PhaseSums::Sum;
  /// Rows of every row phase of an image.
  struct Band {
    Dim n;
    Range rows;
  };
  /// Planes of dy, from the first row that a band sees.
  struct Planes {
    const float* dy;
    Dim plane;
  };
  /// The dy of the next band, which comes to L2 while this one is computed: each tile asks for some of it.
  struct Ahead {
    const float* dy = nullptr;
    Dim plane = 0;
    Parts lines;  // of a plane, by tiles
    Dim tile = 0;
  };
  Band band(Dim i) const { return {i / bands_.count, bands_.part(i % bands_.count)}; }
  Dim rows_of(const Band& band, const Phase& row) const { return std::min(band.rows.end, row.count) - band.rows.begin; }
  Parts tiles_of(const Sum& sum, Dim rows) const;
  Ahead ahead_of(const Band& band, const Band& next, const Operands& operands) const;
  Planes packed_planes(const Band& band, const Operands& operands) const;
  void copy_rows(View4<const float> dy, Dim n, Dim k, Range rows, float* to) const;
  void copy_band(const Band& band, View4<const float> dy, float* panel) const;
  void add_up(const Sum& sum, Dim rows, Planes planes, const float* w, float* out, Ahead& ahead) const;
  void write_rows(const Band& band, const PhaseSums::RowPhase& row, const float* out, View4<float> dx) const;

  Problem problem_;
  int threads_;
  bool plain_;  // dy is; otherwise it is packed, as planes
  PhaseSums sums_;
  Dim rows_, halo_;  // of a phase of an image, and how many more of dy they see
  Parts bands_;
  Dim panel_plane_, panel_floats_, out_plane_, out_floats_;
};

DataGradient::DataGradient(const PhaseSums& sums, int threads, bool plain)
    : problem_(sums.problem),
      threads_(threads),
      plain_(plain),
      sums_(sums),
      rows_(ceil_div(problem_.H, problem_.stride_h)),
      halo_(std::max<Dim>(sums_.reach.size(), 1) - 1) {
  const Dim pitch = sums_.pitch(), row_bytes = std::max<Dim>(1, problem_.K * pitch * kFloatBytes);
  // About four bands a thread, so that the last ones to finish leave little idle.
  const Dim least = threads == 1 ? 1 : std::min(rows_, ceil_div(4 * threads, problem_.N));
  bands_ = {rows_, std::max(parts_of_at_most(std::max<Dim>(1, kBandBytes / row_bytes - halo_), rows_).count, least)};
  panel_plane_ = plane_floats(((plain ? bands_.largest() : rows_) + halo_) * pitch);
  panel_floats_ = plain ? problem_.K * panel_plane_ : 0;
  out_plane_ = plane_floats(bands_.largest() * pitch);
  out_floats_ = static_cast<Dim>(sums_.columns.size()) * problem_.C * out_plane_;
}

std::size_t DataGradient::packed_bytes(Role role) const {
  Dim floats = 0;
  if (role == Role::w) floats = std::max(sums_.w_floats, kWidth);
  if (role == Role::dy && !plain_) floats = problem_.N * problem_.K * panel_plane_;
  return static_cast<std::size_t>(floats * kFloatBytes);
}

void DataGradient::pack(Role role, View4<const float> plain, std::byte* packed) const {
  float* const to = reinterpret_cast<float*>(packed);
  if (role == Role::w) return sums_.pack_filters(plain, to, threads_);
#pragma omp parallel for collapse(2) schedule(static) num_threads(threads_)
  for (Dim n = 0; n < problem_.N; ++n)
    for (Dim k = 0; k < problem_.K; ++k)
      copy_rows(plain, n, k, {0, rows_ + halo_}, to + (n * problem_.K + k) * panel_plane_);
}

void DataGradient::execute(const Operands& operands, std::span<std::byte> workspace) const {
  const float* w = reinterpret_cast<const float*>(operands.packed_at(Role::w));
#pragma omp parallel num_threads(threads_)
  {
    const Range bands = part(problem_.N * bands_.count, omp_get_num_threads(), omp_get_thread_num());
    float* const out =
        reinterpret_cast<float*>(workspace.data()) + omp_get_thread_num() * (panel_floats_ + out_floats_);
    float* const panel = out + out_floats_;
    for (std::size_t b = 0; b < sums_.columns.size(); ++b)
      if (sums_.columns[b].taps == 0) std::fill_n(out + sums_.output(b, 0) * out_plane_, problem_.C * out_plane_, 0.0f);
    for (Dim i = bands.begin; i < bands.end; ++i) {
      const Band now = band(i);
      Ahead ahead = ahead_of(now, band(std::min(i + 1, bands.end - 1)), operands);
      if (plain_) copy_band(now, operands.dy, panel);
      const Planes planes = plain_ ? Planes{panel, panel_plane_} : packed_planes(now, operands);
      for (const auto& row : sums_.rows) {
        const Dim rows = rows_of(now, row.phase);
        if (rows <= 0) continue;
        for (const Sum& sum : row.sums) add_up(sum, rows, planes, w, out, ahead);
        write_rows(now, row, out, operands.dx);
      }
    }
  }
}

//   planes[n][k][p - reach.begin][q - margins.begin]      0 ... 0 | q = 0, 1, 2 ... | 0 ... 0     and rows of zeros
DataGradient::Planes DataGradient::packed_planes(const Band& band, const Operands& operands) const {
  const float* dy = reinterpret_cast<const float*>(operands.packed_at(Role::dy));
  return {dy + band.n * problem_.K * panel_plane_ + band.rows.begin * sums_.pitch(), panel_plane_};
}

/// Rows of a plane, counted from the first one that position 0 sees.
void DataGradient::copy_rows(View4<const float> dy, Dim n, Dim k, Range rows, float* to) const {
  const auto [left, right] = sums_.margins;
  const Range inside{std::max<Dim>(0, left), std::min(problem_.Q, right)};
  for (Dim p = rows.begin + sums_.reach.begin; p < rows.end + sums_.reach.begin; ++p, to += right - left) {
    const bool zero = p < 0 || p >= problem_.P;
    float* const begin = zero ? to : to + inside.begin - left;
    float* const end = zero ? to : begin + inside.size();
    std::fill(to, begin, 0.0f);
    if (!zero) copy_row(&dy(n, k, p, inside.begin), dy.stride[3], begin, inside.size());
    std::fill(end, to + right - left, 0.0f);
  }
}

void DataGradient::copy_band(const Band& band, View4<const float> dy, float* panel) const {
  for (Dim k = 0; k < problem_.K; ++k)
    copy_rows(dy, band.n, k, {band.rows.begin, band.rows.end + halo_}, panel + k * panel_plane_);
}

/// Vectors of positions by tiles. Positions are counted through the rows, margins included: what those in the margins
/// get is not used.
Parts DataGradient::tiles_of(const Sum& sum, Dim rows) const {
  const Dim outputs = parts_of_at_most(kMostOutputs, sum.outputs).largest();
  return parts_of_at_most(tile_vectors(outputs), ceil_div((rows - 1) * sums_.pitch() + sum.columns, kWidth));
}

DataGradient::Ahead DataGradient::ahead_of(const Band& band, const Band& next, const Operands& operands) const {
  Dim tiles = 0;
  for (const auto& [phase, sums] : sums_.rows)
    if (const Dim rows = rows_of(band, phase); rows > 0)
      for (const Sum& sum : sums) tiles += tiles_of(sum, rows).count;
  if (tiles == 0) return {};
  // What this band sees too is there already.
  Range rows{next.rows.begin + (next.n == band.n ? halo_ : 0), next.rows.end + halo_};
  if (!plain_) {
    const auto [planes, plane] = packed_planes(next, operands);
    return {planes + (rows.begin - next.rows.begin) * sums_.pitch(),
            plane,
            {ceil_div(rows.size() * sums_.pitch(), kLine), tiles}};
  }
  const View4<const float>& dy = operands.dy;
  rows = {std::max<Dim>(0, rows.begin + sums_.reach.begin), std::min(problem_.P, rows.end + sums_.reach.begin)};
  if (dy.stride[3] != 1 || rows.size() == 0) return {};
  return {&dy(next.n, 0, rows.begin, 0), dy.stride[1], {ceil_div(rows.size() * dy.stride[2], kLine), tiles}};
}

/// The outputs of a sum at all positions of some rows.
void DataGradient::add_up(const Sum& sum, Dim rows, Planes planes, const float* w, float* out, Ahead& ahead) const {
  const Parts bundles = parts_of_at_most(kMostOutputs, sum.outputs), tiles = tiles_of(sum, rows);
  const Dim taps = static_cast<Dim>(sum.taps.size());
  const Dim read_again = (tiles.largest() + 1) * kWidth * kFloatBytes * taps;
  const Dim slab_filters = bundles.count == 1 ? problem_.K : std::max<Dim>(1, kSlabBytes / read_again);
  const Parts slabs = parts_of_at_most(slab_filters, problem_.K);
  PixelSum tile{.filters = 0,
                .plane = planes.plane,
                .taps = sum.taps.data(),
                .tap_count = taps,
                .out_plane = out_plane_,
                .first = true,
                .ahead = nullptr,
                .ahead_plane = ahead.plane,
                .ahead_lines = 0};
  for (Dim slab = 0; slab < slabs.count; ++slab) {
    const Range filters = slabs.part(slab);
    tile.filters = filters.size();
    tile.first = slab == 0;
    for (Dim i = 0; i < tiles.count; ++i) {
      const Range range = tiles.part(i);
      for (Dim bundle = 0; bundle < bundles.count; ++bundle) {
        const Range outputs = bundles.part(bundle);
        const Range lines = bundle == 0 && ahead.dy ? ahead.lines.part(ahead.tile + i) : Range{};
        tile.ahead = ahead.dy + filters.begin * ahead.plane + lines.begin * kLine;
        tile.ahead_lines = lines.size();
        kPixelTiles[static_cast<std::size_t>(outputs.size() - 1)][static_cast<std::size_t>(range.size() - 1)](
            tile, planes.dy + filters.begin * planes.plane + range.begin * kWidth,
            w + sum.w + (outputs.begin * problem_.K + filters.begin * outputs.size()) * taps,
            out + (sum.first_output + outputs.begin) * out_plane_ + range.begin * kWidth);
      }
    }
  }
  ahead.tile += tiles.count;
}

void DataGradient::write_rows(const Band& band, const PhaseSums::RowPhase& row, const float* out,
                              View4<float> dx) const {
  std::vector<const float*> from(sums_.columns.size());
  for (Dim c = 0; c < problem_.C; ++c)
    for (Dim i = 0; i < rows_of(band, row.phase); ++i) {
      float* const to = &dx(band.n, c, row.phase.first + (band.rows.begin + i) * problem_.stride_h, 0);
      if (row.sums.empty()) {
        for (Dim w = 0; w < problem_.W; ++w) to[w * dx.stride[3]] = 0;
        continue;
      }
      for (std::size_t b = 0; b < from.size(); ++b) from[b] = out + sums_.output(b, c) * out_plane_ + i * sums_.pitch();
      interleave(from.data(), static_cast<Dim>(from.size()), to, dx.stride[3], problem_.W);
    }
}

std::string DataGradient::resolved() const {
  return "bands of " + std::to_string(bands_.largest()) + " rows, " +
         std::to_string(sums_.rows.size() * sums_.columns.size()) + " phases";
}

}  // namespace

std::unique_ptr<Plan> few_channels_data(const Problem& problem, int threads, Layout layout) {
  const bool plain = layout != Layout::native;
  const PhaseSums sums(problem, kMostOutputs);
  if (has_patches(sums)) return patches_data(sums, threads, plain);
  return std::make_unique<DataGradient>(sums, threads, plain);
}

}  // namespace convbwd::direct
