// SPDX-License-Identifier: Apache-2.0
//
// dw[k,c,r,s] = sum over n, p, q of  dy[n,k,p,q] * x[n,c,h,w],  eight channels c to a vector.
//
// For one row r of the filter, a stream is a pair (vector of channels, tap s): a sequence of vectors of x, one for each
// output column. Three streams and four filters make a tile of dw, twelve sums that stay in registers for a run of some
// hundred outputs (weight_tile.h). For a 3-wide filter the streams of a tile are its three taps and read the same
// pixels; for a 1-wide one they are three vectors of channels. The nest, from the outside in:
//
//   a run of rows, or of whole small images     its dy stays in L2
//     a group of three streams                    their x is copied once, with zeros left and right, and stays in L1
//       a row r of the filter, four filters         the tile; the sum of the run is then added to dw
//
// Threads share the tiles, so no two ever write the same dw and the result does not depend on their number.
// Memory: a panel of x a thread. Precision: run sums, some hundred terms each, are added up: far better than one sum.
// What holds the usual AVX2 kernels of this pass back is a load for every FMA, and sums that are stored for every row.
#include "avx2/weight_gradient.h"

#include <omp.h>

#include <algorithm>
#include <array>

#include "avx2/packing.h"
#include "avx2/weight_tile.h"
#include "core/joined_rows.h"

namespace convbwd::avx2 {
namespace {

// What a run reads again and again, x of one group of streams and dy of eight filters: most of an L1 of 32 KB.
constexpr Dim kRunBytes = 28 << 10;

constexpr std::array<WeightTile, kTileStreams> kTiles{weight_tile<1>, weight_tile<2>, weight_tile<3>};

class WeightGradient final : public Plan {
 public:
  WeightGradient(const Problem& problem, int threads);

  std::size_t workspace_bytes() const override {
    return static_cast<std::size_t>(threads_ * panel_floats_) * sizeof(float);
  }
  std::size_t packed_bytes(Role role) const override;
  void pack(Role, View4<const float> plain, std::byte* packed) const override {
    pack_images(plain, reinterpret_cast<float*>(packed), threads_);
  }
  void unpack(Role, const std::byte* packed, View4<float> plain) const override;
  void execute(const Operands& operands, std::span<std::byte> workspace) const override;
  std::string resolved() const override;

 private:
  /// The outputs that are summed up before anything is added to dw.
  struct Run {
    Range images, rows;
    bool first;
  };
  Dim tile_offset(Dim group, Dim streams, Dim r, Dim k) const;
  void add_run(const Run& run, Dim group, Dim streams, Range tiles, const float* x, const float* dy, float* dw,
               float* panel) const;
  void copy_rows(const float* plane, Range h, float* panel) const;

  Problem problem_;
  int threads_;
  Dim c_vectors_, k_vectors_;  // of one group of the convolution
  Dim k_tiles_;
  Range taps_, outputs_;  // columns of the filter that meet the image, and output columns that do
  Range columns_;         // of x, with a margin left and right (before 0, beyond W), in a row of a panel
  Parts streams_, image_runs_, row_runs_;
  Dim panel_rows_ = 0, panel_floats_ = 0;
};

WeightGradient::WeightGradient(const Problem& problem, int threads)
    : problem_(with_joined_rows(problem)),
      threads_(threads),
      c_vectors_(vectors(problem.C_per_group())),
      k_vectors_(vectors(problem.K_per_group())),
      k_tiles_(ceil_div(problem.K_per_group(), kTileFilters)) {
  const Problem& at = problem_;
  for (Dim s = 0; s < at.S; ++s) {
    const Range inside = outputs_inside(at.W, at.Q, at.stride_w, s * at.dilation_w - at.pad_left);
    if (inside.size() == 0) continue;
    if (taps_.size() == 0) taps_.begin = s, outputs_ = inside;
    taps_.end = s + 1;
    outputs_ = {std::min(outputs_.begin, inside.begin), std::max(outputs_.end, inside.end)};
  }
  if (taps_.size() > 0) columns_ = {at.w_of(outputs_.begin, taps_.begin), at.w_of(outputs_.end - 1, taps_.end - 1) + 1};
  streams_ = parts_of_at_most(kTileStreams, c_vectors_ * taps_.size());

  const Dim vectors_read = std::min(c_vectors_, taps_.size() >= kTileStreams ? 1 : kTileStreams - taps_.size() / 2);
  const Dim x_columns = std::min(columns_.size(), 2 * outputs_.size());  // a line holds two vectors
  const Dim row_bytes = kLanes * static_cast<Dim>(sizeof(float)) * (vectors_read * x_columns + outputs_.size());
  const Dim rows = std::max<Dim>(1, kRunBytes / std::max<Dim>(1, row_bytes));
  row_runs_ = parts_of_at_most(rows, at.P);
  image_runs_ = parts_of_at_most(std::max<Dim>(1, rows / at.P), at.N);

  const Dim most_rows = row_runs_.largest(), most_images = image_runs_.largest();
  panel_rows_ = std::min(at.H, (most_rows - 1) * at.stride_h + (at.R - 1) * at.dilation_h + 1);
  panel_floats_ = std::min(c_vectors_, kTileStreams) * most_images * panel_rows_ * columns_.size() * kLanes;
}

std::size_t WeightGradient::packed_bytes(Role role) const {
  const Dim pixels = role == Role::dy ? problem_.P * problem_.Q : problem_.H * problem_.W;
  const Dim planes = problem_.N * problem_.G * (role == Role::dy ? k_vectors_ : c_vectors_);
  // At least one vector: a filter without a tap that meets the image still has a layout of its own.
  const Dim sums = std::max<Dim>(1, problem_.G * streams_.total * problem_.R * k_tiles_ * kTileFilters);
  return static_cast<std::size_t>((role == Role::dw ? sums : planes * pixels) * kLanes) * sizeof(float);
}

//   dw[group][streams, by three][r][k][stream % 3][c % 8]      a 3-wide filter, r = 0, k = 0:  s0: c0 ... c7 | s1 | s2
Dim WeightGradient::tile_offset(Dim group, Dim streams, Dim r, Dim k) const {
  const Dim filters = k_tiles_ * kTileFilters;
  return ((group * streams_.total + streams_.begin(streams)) * problem_.R * filters +
          (r * filters + k) * streams_.part(streams).size()) *
         kLanes;
}

void WeightGradient::unpack(Role, const std::byte* packed, View4<float> plain) const {
  const float* dw = reinterpret_cast<const float*>(packed);
  const Positions taps(plain);
  const Dim C = problem_.C_per_group(), K = problem_.K_per_group(), S = problem_.S;
#pragma omp parallel for collapse(2) schedule(static) num_threads(threads_)
  for (Dim k = 0; k < problem_.K; ++k)
    for (Dim c = 0; c < c_vectors_; ++c)
      taps.for_each_strip(k, c * kLanes, [&](Dim tap, Dim count, float* to) {
        Strip strip{};
        for (Dim i = 0; i < count; ++i) {
          const Dim r = (tap + i) / S, s = (tap + i) % S;
          if (s < taps_.begin || s >= taps_.end) continue;
          const Dim stream = c * taps_.size() + s - taps_.begin, streams = streams_.part_of(stream);
          strip.at[i] =
              _mm256_load_ps(dw + tile_offset(k / K, streams, r, k % K) + (stream - streams_.begin(streams)) * kLanes);
        }
        write_strip(strip, to, plain.stride[1], plain.stride[3], std::min(kLanes, C - c * kLanes), count);
      });
}

void WeightGradient::execute(const Operands& operands, std::span<std::byte> workspace) const {
  const float* x = reinterpret_cast<const float*>(operands.packed_at(Role::x));
  const float* dy = reinterpret_cast<const float*>(operands.packed_at(Role::dy));
  float* dw = reinterpret_cast<float*>(operands.packed_at(Role::dw));
#pragma omp parallel num_threads(threads_)
  {
    // All columns of tiles, one after the other, cut into equal shares.
    const Parts shares{problem_.G * streams_.count * k_tiles_, omp_get_num_threads()};
    const Range share = shares.part(omp_get_thread_num());
    float* panel = reinterpret_cast<float*>(workspace.data()) + omp_get_thread_num() * panel_floats_;
    for (Dim images = 0; images < image_runs_.count; ++images)
      for (Dim rows = 0; rows < row_runs_.count; ++rows)
        for (Dim column = share.begin / k_tiles_; column * k_tiles_ < share.end; ++column) {
          const Run run{image_runs_.part(images), row_runs_.part(rows), images + rows == 0};
          const Range tiles{std::max<Dim>(0, share.begin - column * k_tiles_),
                            std::min(k_tiles_, share.end - column * k_tiles_)};
          const Dim group = column / streams_.count, streams = column % streams_.count;
          add_run(run, group, streams, tiles, x, dy, dw, panel);
        }
  }
}

/// Adds a run to the tiles [tiles.begin, tiles.end) of a group of streams, for all rows of the filter.
void WeightGradient::add_run(const Run& run, Dim group, Dim streams, Range tiles, const float* x, const float* dy,
                             float* dw, float* panel) const {
  const Problem& at = problem_;
  const Range stream = streams_.part(streams);
  const Dim first_c = stream.begin / taps_.size();
  const Dim row_floats = columns_.size() * kLanes, image_floats = panel_rows_ * row_floats;
  const Dim vector_floats = run.images.size() * image_floats;
  const Range h{std::max<Dim>(0, at.h_of(run.rows.begin, 0)), std::min(at.H, at.h_of(run.rows.end - 1, at.R - 1) + 1)};
  for (Dim c = first_c; c * taps_.size() < stream.end; ++c)
    for (Dim image = 0; image < run.images.size(); ++image) {
      const Dim plane = ((run.images.begin + image) * at.G + group) * c_vectors_ + c;
      copy_rows(x + plane * at.H * at.W * kLanes, h, panel + (c - first_c) * vector_floats + image * image_floats);
    }

  const Dim dy_row = at.Q * kLanes, dy_plane = at.P * dy_row;
  WeightSum sum{.images = run.images.size(),
                .rows = 0,
                .columns = outputs_.size(),
                .x_image = image_floats,
                .x_row = at.stride_h * row_floats,
                .x_column = at.stride_w * kLanes,
                .dy_image = at.G * k_vectors_ * dy_plane,
                .dy_row = dy_row,
                .streams = {}};
  for (Dim j = stream.begin; j < stream.end; ++j)
    sum.streams[j - stream.begin] =
        (j / taps_.size() - first_c) * vector_floats + j % taps_.size() * at.dilation_w * kLanes;

  for (Dim r = 0; r < at.R; ++r) {
    const Range inside = outputs_inside(at.H, at.P, at.stride_h, r * at.dilation_h - at.pad_top);
    const Range p{std::max(inside.begin, run.rows.begin), std::min(inside.end, run.rows.end)};
    sum.rows = p.size();
    if (sum.rows == 0 && !run.first) continue;
    const float* pixels = panel + (at.h_of(p.begin, r) - h.begin) * row_floats;
    for (Dim tile = tiles.begin; tile < tiles.end; ++tile) {
      const Dim k = tile * kTileFilters;
      const Dim plane = (run.images.begin * at.G + group) * k_vectors_ + k / kLanes;
      kTiles[static_cast<std::size_t>(stream.size() - 1)](
          sum, pixels, dy + plane * dy_plane + p.begin * dy_row + outputs_.begin * kLanes + k % kLanes,
          dw + tile_offset(group, streams, r, k), run.first);
    }
  }
}

//   panel[vector of c][image][h - h.begin][w - columns.begin][c % 8]      0 ... 0 | w = 0: c0 ... c7 | ... | 0 ... 0
void WeightGradient::copy_rows(const float* plane, Range h, float* panel) const {
  const Range copied{std::max<Dim>(0, columns_.begin), std::min(problem_.W, columns_.end)};
  for (Dim row = h.begin; row < h.end; ++row, panel += columns_.size() * kLanes) {
    const float* from = plane + row * problem_.W * kLanes;
    float* const inside = panel + (copied.begin - columns_.begin) * kLanes;
    std::fill(panel, inside, 0.0f);
    std::copy(from + copied.begin * kLanes, from + copied.end * kLanes, inside);
    std::fill(inside + copied.size() * kLanes, panel + columns_.size() * kLanes, 0.0f);
  }
}

std::string WeightGradient::resolved() const {
  return "tiles of " + std::to_string(kTileFilters) + " filters x " + std::to_string(kTileStreams) +
         " vectors, runs of " + std::to_string(image_runs_.largest()) + " images x " +
         std::to_string(row_runs_.largest()) + " rows";
}

}  // namespace

std::unique_ptr<Plan> weight_gradient(const Problem& problem, int threads) {
  return std::make_unique<WeightGradient>(problem, threads);
}

}  // namespace convbwd::avx2
