// SPDX-License-Identifier: Apache-2.0
//
// dx of patches: where no two windows share a pixel (stride >= filter, no pads), a pixel has one tap, and
//     dx[n, c, stride * p + r, stride * q + s] = sum over k of  dy[n,k,p,q] * w[k,c,r,s]
// is a product of matrices. The positions (n, p, q) of a band of rows, images joined, are cut into tiles whose dy is
// one stream, where planes of filters (few_channels_data.cpp) are a page and a set of L1 each: 768 filters of 14 x 14
// went from 43 to 81 and from 66 to 90 GFLOP/s, 96 of 56 x 56 from 52 to between 49 and 69 (AVX2, Zen 3, a busy
// machine).
//
// For each row of the filter: slabs of filters (dy of a tile: half an L1, w: L2), tiles, bundles of outputs (c, s);
// then the columns are interleaved into rows of dx.
#include "direct/few_channels_patches.h"

#include <omp.h>

#include <algorithm>
#include <numeric>
#include <string>
#include <vector>

#include "core/ranges.h"
#include "direct/few_channels_phases.h"
#include "direct/few_channels_pixel_tile.h"
#include "direct/few_channels_rows.h"

namespace convbwd::direct {
namespace {

using simd::kWidth;

// The dy of a band, which every row of the filter reads: half an L2 of 512 KB.
constexpr Dim kBandBytes = 256 << 10;
// Of dy, for the bundles that share it: half an L1.
constexpr Dim kSlabBytes = 16 << 10;
constexpr Dim kFloatBytes = sizeof(float);

class PatchGradient final : public Plan {
 public:
  PatchGradient(const PhaseSums& sums, int threads, bool plain);

  std::size_t workspace_bytes() const override {
    return static_cast<std::size_t>(threads_ * ((plain_ ? band_floats_ : 0) + out_floats_) * kFloatBytes);
  }
  std::size_t packed_bytes(Role role) const override;
  void pack(Role role, View4<const float> plain, std::byte* packed) const override;
  void execute(const Operands& operands, std::span<std::byte> workspace) const override;
  std::string resolved() const override;

 private:
  void pack_band(Range rows, View4<const float> dy, float* to) const;
  void add_up(const PhaseSums::Sum& sum, Dim rows, const float* dy, const float* w, float* out) const;
  void write_rows(Range rows, const PhaseSums::RowPhase& row, const float* out, View4<float> dx) const;
  Range rows_of(Dim band) const { return {band * band_rows_, std::min(rows_, (band + 1) * band_rows_)}; }
  Dim tiles_of(Dim rows) const { return ceil_div(rows * sums_.problem.Q, tile_); }

  PhaseSums sums_;
  int threads_;
  bool plain_;                    // dy is; otherwise it is packed, in tiles
  Parts bundles_;                 // of the outputs of a row of the filter
  Dim vectors_, tile_;            // positions of a tile
  Dim rows_, band_rows_, bands_;  // rows of dy in all images
  std::vector<Dim> steps_;        // from the dy of a filter in a tile to that of the others
  Dim band_floats_, out_plane_, out_floats_;
};

PatchGradient::PatchGradient(const PhaseSums& sums, int threads, bool plain)
    : sums_(sums), threads_(threads), plain_(plain), rows_(sums.problem.N * sums.problem.P) {
  const Problem& at = sums_.problem;
  for (const auto& row : sums_.rows)
    for (const PhaseSums::Sum& sum : row.sums) bundles_ = parts_of_at_most(kMostOutputs, sum.outputs);
  vectors_ = tile_vectors(bundles_.largest());
  tile_ = vectors_ * kWidth;
  // Whole tiles, so that only the last band has a tail.
  const Dim even = tile_ / std::gcd(at.Q, tile_), rows = kBandBytes / (at.K * at.Q * kFloatBytes);
  band_rows_ = std::min(rows_, std::max(even, rows / even * even));
  bands_ = ceil_div(rows_, band_rows_);
  for (Dim k = 0; k < at.K; ++k) steps_.push_back(k * tile_);
  band_floats_ = tiles_of(band_rows_) * at.K * tile_;
  out_plane_ = tiles_of(band_rows_) * tile_ + kLine;
  out_floats_ = static_cast<Dim>(sums_.columns.size()) * at.C * out_plane_;
}

std::size_t PatchGradient::packed_bytes(Role role) const {
  Dim floats = 0;
  if (role == Role::w) floats = sums_.w_floats;
  if (role == Role::dy && !plain_) floats = bands_ * band_floats_;
  return static_cast<std::size_t>(floats * kFloatBytes);
}

void PatchGradient::pack(Role role, View4<const float> plain, std::byte* packed) const {
  float* const to = reinterpret_cast<float*>(packed);
  if (role == Role::w) return sums_.pack_filters(plain, to, threads_);
#pragma omp parallel for schedule(static) num_threads(threads_)
  for (Dim band = 0; band < bands_; ++band) pack_band(rows_of(band), plain, to + band * band_floats_);
}

//   dy of a band: [tile][k][position]    with Q = 3 and tiles of 4: tile 0, k0: p0q0 p0q1 p0q2 p1q0 | k1: ...
void PatchGradient::pack_band(Range rows, View4<const float> dy, float* to) const {
  const Problem& at = sums_.problem;
  const Dim end = rows.size() * at.Q, padded = tiles_of(rows.size()) * tile_;
  const auto place = [&](Dim position, Dim k) { return to + (position / tile_ * at.K + k) * tile_ + position % tile_; };
  for (Dim k = 0; k < at.K; ++k) {
    for (Dim position = 0; position < end;) {
      const Dim row = rows.begin + position / at.Q, q = position % at.Q;
      const Dim count = std::min(at.Q - q, tile_ - position % tile_);
      copy_row(&dy(row / at.P, k, row % at.P, q), dy.stride[3], place(position, k), count);
      position += count;
    }
    if (end < padded) std::fill_n(place(end, k), padded - end, 0.0f);
  }
}

void PatchGradient::execute(const Operands& operands, std::span<std::byte> workspace) const {
  const float* w = reinterpret_cast<const float*>(operands.packed_at(Role::w));
  const Problem& at = sums_.problem;
#pragma omp parallel num_threads(threads_)
  {
    float* const out =
        reinterpret_cast<float*>(workspace.data()) + omp_get_thread_num() * ((plain_ ? band_floats_ : 0) + out_floats_);
    float* const panel = out + out_floats_;
    for (std::size_t b = 0; b < sums_.columns.size(); ++b)
      if (sums_.columns[b].taps == 0) std::fill_n(out + sums_.output(b, 0) * out_plane_, at.C * out_plane_, 0.0f);
    const Range bands = part(bands_, omp_get_num_threads(), omp_get_thread_num());
    for (Dim band = bands.begin; band < bands.end; ++band) {
      const Range rows = rows_of(band);
      if (plain_) pack_band(rows, operands.dy, panel);
      const float* dy =
          plain_ ? panel : reinterpret_cast<const float*>(operands.packed_at(Role::dy)) + band * band_floats_;
      for (const auto& row : sums_.rows) {
        for (const PhaseSums::Sum& sum : row.sums) add_up(sum, rows.size(), dy, w + sum.w, out);
        write_rows(rows, row, out, operands.dx);
      }
    }
  }
}

/// The outputs of a row of the filter at all positions of some rows.
void PatchGradient::add_up(const PhaseSums::Sum& sum, Dim rows, const float* dy, const float* w, float* out) const {
  const Dim K = sums_.problem.K;
  const Parts slabs = parts_of_at_most(std::max<Dim>(1, kSlabBytes / (tile_ * kFloatBytes)), K);
  for (Dim slab = 0; slab < slabs.count; ++slab) {
    const Range filters = slabs.part(slab);
    const PixelSum tile{.filters = 1,
                        .plane = 0,
                        .taps = steps_.data(),
                        .tap_count = filters.size(),
                        .out_plane = out_plane_,
                        .first = slab == 0,
                        .ahead = nullptr,
                        .ahead_plane = 0,
                        .ahead_lines = 0};
    for (Dim i = 0; i < tiles_of(rows); ++i)
      for (Dim bundle = 0; bundle < bundles_.count; ++bundle) {
        const Range outputs = bundles_.part(bundle);
        kPixelTiles[static_cast<std::size_t>(outputs.size() - 1)][static_cast<std::size_t>(vectors_ - 1)](
            tile, dy + (i * K + filters.begin) * tile_, w + outputs.begin * K + filters.begin * outputs.size(),
            out + (sum.first_output + outputs.begin) * out_plane_ + i * tile_);
      }
  }
}

void PatchGradient::write_rows(Range rows, const PhaseSums::RowPhase& row, const float* out, View4<float> dx) const {
  const Problem& at = sums_.problem;
  std::vector<const float*> from(sums_.columns.size());
  for (Dim i = 0; i < rows.size(); ++i)
    for (Dim c = 0; c < at.C; ++c) {
      const Dim n = (rows.begin + i) / at.P, p = (rows.begin + i) % at.P;
      float* const to = &dx(n, c, p * at.stride_h + row.phase.first, 0);
      if (row.sums.empty()) {
        for (Dim w = 0; w < at.W; ++w) to[w * dx.stride[3]] = 0;
        continue;
      }
      for (std::size_t b = 0; b < from.size(); ++b) from[b] = out + sums_.output(b, c) * out_plane_ + i * at.Q;
      interleave(from.data(), static_cast<Dim>(from.size()), to, dx.stride[3], at.W);
    }
}

std::string PatchGradient::resolved() const {
  return "patches, bands of " + std::to_string(band_rows_) + " rows, tiles of " + std::to_string(tile_) +
         " positions x " + std::to_string(bundles_.largest());
}

/// Of an axis.
bool in_patches(const Phase& phase, Dim outputs) {
  return phase.count == outputs && (phase.taps == 0 || (phase.taps == 1 && phase.lead == 0));
}

}  // namespace

bool has_patches(const PhaseSums& sums) {
  const Problem& at = sums.problem;
  return sums.w_floats > 0 &&
         std::all_of(sums.rows.begin(), sums.rows.end(),
                     [&](const PhaseSums::RowPhase& row) { return in_patches(row.phase, at.P); }) &&
         std::all_of(sums.columns.begin(), sums.columns.end(),
                     [&](const Phase& column) { return in_patches(column, at.Q); });
}

std::unique_ptr<Plan> patches_data(const PhaseSums& sums, int threads, bool plain) {
  return std::make_unique<PatchGradient>(sums, threads, plain);
}

}  // namespace convbwd::direct
