// SPDX-License-Identifier: Apache-2.0
//
// dw[k,c,r,s] = sum over n, p, q of  dy[n,k,p,q] * x[n,c,h,w],  channels c as lanes.
//
// For one row r of the filter, a stream is a pair (vector of channels, tap s): a sequence of vectors of x, one for each
// output column. Three streams and a few filters make a tile of dw, whose sums stay in registers for a run of some
// hundred outputs (dense_weights_tile.h). For a 3-wide filter the streams of a tile are its three taps and read the
// same pixels; for a 1-wide one they are three vectors of channels. The nest, from the outside in:
//
//   a run of rows, or of whole small images
//     a block of filters                          its dy of the run stays in L2; of plain tensors it is copied
//       a group of three streams                    their x is copied once, with zeros left and right, and stays in L1;
//                                                   packed, without margins and without pixels between those that are
//                                                   read, it is read where it is
//         a row r of the filter, a few filters        the tile; the sum of the run is then added to dw
//
// Threads share the tiles, so no two ever write the same dw and the result does not depend on their number.
// Memory: a panel of x a thread, and one of dy where tensors are plain. Precision: run sums, some hundred terms each,
// are added up: far better than one sum.
//
// What was gained. Zen 4, AVX-512: x read in place, 1x1 @ 56x56 84 -> 99 and 89 -> 102 GFLOP/s; the first and last
// column without the stream that reads a margin there, 3x3 @ 7x7 82 -> 89 % of the FMA peak. Zen 3, AVX2: blocks of
// filters 3x3 @ 14x14 1.07, 1x1 1.02 to 1.1; plain tensors copied run by run, not packed, 1x1 1.3 to 2; 1x1 of stride
// 2, the pixels that are read copied, so that rows of 7 or 14 follow one another, 1.0 to 1.2. What gained nothing (Zen
// 3): runs of 10 or 16 KB rather than 28; those pixels one by one from nchw, 0.92.
#include <omp.h>

#include <algorithm>
#include <array>
#include <string>

#include "core/caches.h"
#include "core/joined_rows.h"
#include "direct/dense.h"
#include "direct/dense_weights_tile.h"

namespace convbwd::direct {
namespace {

// What a run reads again and again, x of one group of streams and dy of eight filters: most of an L1 of 32 KB.
constexpr Dim kRunBytes = 28 << 10;

constexpr std::array<WeightTile, kTileStreams> kTiles{weight_tile<1>, weight_tile<2>, weight_tile<3>};

class DenseWeights final : public Plan {
 public:
  DenseWeights(const Problem& problem, int threads, Layout layout);

  std::size_t workspace_bytes() const override {
    return static_cast<std::size_t>(threads_ * (x_floats_ + dy_floats_)) * sizeof(float);
  }
  std::size_t packed_bytes(Role role) const override;
  void pack(Role role, View4<const float> plain, std::byte* packed) const override {
    (role == Role::x ? x_ : dy_).pack(plain, reinterpret_cast<float*>(packed), threads_);
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
  BlockRows pixels_of(const Run& run, Dim group, Range c, Range h, const float* x, float* panel) const;
  BlockRows outputs_of(const Run& run, Dim group, Range k, const float* dy, float* panel) const;
  void add_run(const Run& run, Dim group, Dim streams, Range tiles, const float* x, const BlockRows& outputs, float* dw,
               float* panel) const;

  Problem problem_;
  int threads_;
  bool plain_;    // x and dy are nchw or nhwc
  Dim row_step_;  // of the rows of x, those that a filter of one row reads
  ImageLayout x_, dy_;
  Dim c_vectors_, k_vectors_;  // of one group of the convolution
  Dim k_tiles_;
  Range taps_{0, 0}, outputs_{0, 0};  // columns of the filter that meet the image, and output columns that do
  Columns columns_{{0, 0}};           // of x, with a margin left and right (before 0, beyond W), in a row of a panel
  Parts streams_, image_runs_, row_runs_;
  Parts filter_blocks_;  // tiles whose dy of a run stays in L2
  Dim panel_rows_ = 0;
  Dim x_floats_ = 0, dy_floats_ = 0;  // of the panels of a thread
};

DenseWeights::DenseWeights(const Problem& problem, int threads, Layout layout)
    : problem_(with_joined_rows(problem)),
      threads_(threads),
      plain_(layout != Layout::native),
      row_step_(problem.R == 1 ? problem.stride_h : 1),
      x_(simd::image_layout(problem_, Role::x, layout)),
      dy_(simd::image_layout(problem_, Role::dy, layout)),
      c_vectors_(simd::blocks_of(problem.C_per_group())),
      k_vectors_(simd::blocks_of(problem.K_per_group())),
      k_tiles_(ceil_div(problem.K_per_group(), kTileFilters)) {
  const Problem& at = problem_;
  for (Dim s = 0; s < at.S; ++s) {
    const Range inside = outputs_inside(at.W, at.Q, at.stride_w, s * at.dilation_w - at.pad_left);
    if (inside.size() == 0) continue;
    if (taps_.size() == 0) taps_.begin = s, outputs_ = inside;
    taps_.end = s + 1;
    outputs_ = {std::min(outputs_.begin, inside.begin), std::max(outputs_.end, inside.end)};
  }
  // Through one tap only the pixels that it reads, so that rows may join; from nchw whole rows, to be transposed.
  if (taps_.size() > 0)
    columns_ = {{at.w_of(outputs_.begin, taps_.begin), at.w_of(outputs_.end - 1, taps_.end - 1) + 1},
                taps_.size() == 1 && layout != Layout::nchw ? at.stride_w : 1};
  streams_ = parts_of_at_most(kTileStreams, c_vectors_ * taps_.size());

  const Dim vectors_read = std::min(c_vectors_, taps_.size() >= kTileStreams ? 1 : kTileStreams - taps_.size() / 2);
  const Dim x_columns = std::min(columns_.count(), 2 * outputs_.size());  // a line holds two vectors
  const Dim row_bytes = kLanes * static_cast<Dim>(sizeof(float)) * (vectors_read * x_columns + outputs_.size());
  const Dim rows = std::max<Dim>(1, kRunBytes / std::max<Dim>(1, row_bytes));
  row_runs_ = parts_of_at_most(rows, at.P);
  image_runs_ = parts_of_at_most(std::max<Dim>(1, rows / at.P), at.N);

  const Dim most_rows = row_runs_.largest(), most_images = image_runs_.largest();
  const Dim tile_bytes = most_images * most_rows * outputs_.size() * kTileFilters * static_cast<Dim>(sizeof(float));
  filter_blocks_ = parts_of_at_most(std::max<Dim>(1, l2_bytes() / 4 / std::max<Dim>(1, tile_bytes)), k_tiles_);
  panel_rows_ = ceil_div(std::min(at.H, (most_rows - 1) * at.stride_h + (at.R - 1) * at.dilation_h + 1), row_step_);
  if (plain_ || columns_.step > 1 || columns_.range.begin < 0 || columns_.range.end > at.W)
    x_floats_ = std::min(c_vectors_, kTileStreams) * most_images * panel_rows_ * columns_.count() * kLanes;
  if (plain_) {
    const Dim vectors = ceil_div(filter_blocks_.largest() * kTileFilters, kLanes) + 1;  // a tile may begin in one
    dy_floats_ = std::min(k_vectors_, vectors) * most_images * most_rows * outputs_.size() * kLanes;
  }
}

std::size_t DenseWeights::packed_bytes(Role role) const {
  if (plain_ && role != Role::dw) return 0;
  // At least one vector: a filter without a tap that meets the image still has a layout of its own.
  const Dim sums = std::max<Dim>(1, problem_.G * streams_.total * problem_.R * k_tiles_ * kTileFilters);
  const Dim floats = role == Role::dw ? sums * kLanes : (role == Role::x ? x_ : dy_).floats();
  return static_cast<std::size_t>(floats) * sizeof(float);
}

//   dw[group][streams, by three][r][k][stream % 3][c % kLanes]    a 3-wide filter, r = 0, k = 0:  s0: c0 ... | s1 | s2
Dim DenseWeights::tile_offset(Dim group, Dim streams, Dim r, Dim k) const {
  const Dim filters = k_tiles_ * kTileFilters;
  return ((group * streams_.total + streams_.begin(streams)) * problem_.R * filters +
          (r * filters + k) * streams_.part(streams).size()) *
         kLanes;
}

void DenseWeights::unpack(Role, const std::byte* packed, View4<float> plain) const {
  const float* dw = reinterpret_cast<const float*>(packed);
  const Dim C = problem_.C_per_group(), K = problem_.K_per_group(), S = problem_.S;
  if (problem_.R * S == 1 && taps_.size() == 1 && plain.stride[1] == 1) {
#pragma omp parallel for collapse(2) schedule(static) num_threads(threads_)
    for (Dim k = 0; k < problem_.K; ++k)
      for (Dim streams = 0; streams < streams_.count; ++streams) {
        const float* from = dw + tile_offset(k / K, streams, 0, k % K);
        const Range of = streams_.part(streams);
        for (Dim c = of.begin * kLanes; c < std::min(C, of.end * kLanes); c += kLanes, from += kLanes)
          simd::unpack(from, {&plain(k, c, 0, 0), std::min(kLanes, C - c), 1, 1, C});
      }
    return;
  }
#pragma omp parallel num_threads(threads_)
  {
    std::vector<float> row(static_cast<std::size_t>(S * kLanes));
#pragma omp for collapse(3) schedule(static)
    for (Dim k = 0; k < problem_.K; ++k)
      for (Dim c = 0; c < c_vectors_; ++c)
        for (Dim r = 0; r < problem_.R; ++r) {
          for (Dim s = taps_.begin; s < taps_.end; ++s) {
            const Dim stream = c * taps_.size() + s - taps_.begin, streams = streams_.part_of(stream);
            simd::store(row.data() + s * kLanes, simd::load(dw + tile_offset(k / K, streams, r, k % K) +
                                                            (stream - streams_.begin(streams)) * kLanes));
          }
          simd::unpack(row.data(), {&plain(k, c * kLanes, r, 0), std::min(kLanes, C - c * kLanes), plain.stride[1], S,
                                    plain.stride[3]});
        }
  }
}

void DenseWeights::execute(const Operands& operands, std::span<std::byte> workspace) const {
  const float* x = plain_ ? operands.x.data : reinterpret_cast<const float*>(operands.packed_at(Role::x));
  const float* dy = plain_ ? operands.dy.data : reinterpret_cast<const float*>(operands.packed_at(Role::dy));
  float* dw = reinterpret_cast<float*>(operands.packed_at(Role::dw));
#pragma omp parallel num_threads(threads_)
  {
    // All columns of tiles, one after the other, cut into equal shares.
    const Parts shares{problem_.G * streams_.count * k_tiles_, omp_get_num_threads()};
    const Range share = shares.part(omp_get_thread_num());
    float* const x_panel = reinterpret_cast<float*>(workspace.data()) + omp_get_thread_num() * (x_floats_ + dy_floats_);
    for (Dim images = 0; images < image_runs_.count; ++images)
      for (Dim rows = 0; rows < row_runs_.count; ++rows)
        for (Dim block = 0; block < filter_blocks_.count; ++block) {
          const Run run{image_runs_.part(images), row_runs_.part(rows), images + rows == 0};
          const Range filters = filter_blocks_.part(block);
          const Range k{filters.begin * kTileFilters / kLanes,
                        std::min(k_vectors_, ceil_div(filters.end * kTileFilters, kLanes))};
          BlockRows outputs{};
          Dim group_of_outputs = -1;
          for (Dim column = share.begin / k_tiles_; column * k_tiles_ < share.end; ++column) {
            const Range tiles{std::max(filters.begin, share.begin - column * k_tiles_),
                              std::min(filters.end, share.end - column * k_tiles_)};
            const Dim group = column / streams_.count, streams = column % streams_.count;
            if (tiles.size() == 0) continue;
            if (group != group_of_outputs) outputs = outputs_of(run, group, k, dy, x_panel + x_floats_);
            group_of_outputs = group;
            add_run(run, group, streams, tiles, x, outputs, dw, x_panel);
          }
        }
  }
}

/// Adds a run to the tiles [tiles.begin, tiles.end) of a group of streams, for all rows of the filter.
void DenseWeights::add_run(const Run& run, Dim group, Dim streams, Range tiles, const float* x,
                           const BlockRows& outputs, float* dw, float* panel) const {
  const Problem& at = problem_;
  const Range stream = streams_.part(streams);
  const Dim first_c = stream.begin / taps_.size();
  const Dim top = at.h_of(run.rows.begin, 0);
  const Range h{top >= 0 ? top : top + ceil_div(-top, row_step_) * row_step_,
                std::min(at.H, at.h_of(run.rows.end - 1, at.R - 1) + 1)};
  const BlockRows pixels = pixels_of(run, group, {first_c, ceil_div(stream.end, taps_.size())}, h, x, panel);

  WeightSum sum{.images = run.images.size(),
                .rows = 0,
                .columns = outputs_.size(),
                .x_image = pixels.image,
                .x_row = at.stride_h / row_step_ * pixels.row,
                .x_column = at.stride_w / columns_.step * kLanes,
                .dy_image = outputs.image,
                .dy_row = outputs.row,
                .skip_first = false,
                .skip_last = false,
                .streams = {}};
  for (Dim j = stream.begin; j < stream.end; ++j)
    sum.streams[j - stream.begin] =
        (j / taps_.size() - pixels.first) * pixels.vector + j % taps_.size() * at.dilation_w * kLanes;

  const auto reads_margin = [&](Dim j, Dim q) {
    const Dim column = at.w_of(q, taps_.begin + j % taps_.size());
    return column < 0 || column >= at.W;
  };
  if (outputs_.size() > 1) {
    // Only where all streams but that one read pixels; a column that others leave out too is summed with its zeros.
    Dim outside_first = 0, outside_last = 0;
    for (Dim j = stream.begin; j < stream.end; ++j) {
      outside_first += reads_margin(j, outputs_.begin);
      outside_last += reads_margin(j, outputs_.end - 1);
    }
    sum.skip_first = outside_first == 1 && reads_margin(stream.begin, outputs_.begin);
    sum.skip_last = outside_last == 1 && reads_margin(stream.end - 1, outputs_.end - 1);
  }

  for (Dim r = 0; r < at.R; ++r) {
    const Range inside = outputs_inside(at.H, at.P, at.stride_h, r * at.dilation_h - at.pad_top);
    const Range p{std::max(inside.begin, run.rows.begin), std::min(inside.end, run.rows.end)};
    if (p.size() == 0 && !run.first) continue;
    const float* first_pixel = pixels.data + (at.h_of(p.begin, r) - h.begin) / row_step_ * pixels.row;
    const float* const output = outputs.data + (p.begin - run.rows.begin) * outputs.row;
    // One long row, if rows follow one another: then the filter has one tap across, and there are no margins to skip.
    const Dim row = sum.columns * kLanes;
    const bool joined = sum.x_column == kLanes && sum.x_row == row && sum.dy_row == row;
    WeightSum sum_r = sum;
    sum_r.rows = joined ? 1 : p.size();
    sum_r.columns *= joined ? p.size() : 1;
    for (Dim k = tiles.begin * kTileFilters; k < tiles.end * kTileFilters; k += kTileFilters)
      kTiles[static_cast<std::size_t>(stream.size() - 1)](
          sum_r, first_pixel, output + (k / kLanes - outputs.first) * outputs.vector + k % kLanes,
          dw + tile_offset(group, streams, r, k), run.first);
  }
}

/// The pixels that a run reads of the vectors c of channels: columns_, and every row_step_-th row from h.begin on.
BlockRows DenseWeights::pixels_of(const Run& run, Dim group, Range c, Range h, const float* x, float* panel) const {
  const float* from = x + x_.offset(run.images.begin, group, 0) + h.begin * x_.row();
  if (x_floats_ == 0) return {from + columns_.range.begin * x_.pixel, 0, x_.block, x_.image, row_step_ * x_.row()};
  return copy_block_rows(x_, from, c, run.images.size(), ceil_div(h.size(), row_step_), row_step_, columns_, panel);
}

/// The outputs of a run, of the vectors k of filters, from column outputs_.begin on.
BlockRows DenseWeights::outputs_of(const Run& run, Dim group, Range k, const float* dy, float* panel) const {
  const float* from = dy + dy_.offset(run.images.begin, group, 0) + run.rows.begin * dy_.row();
  if (!plain_) return {from + outputs_.begin * dy_.pixel, 0, dy_.block, dy_.image, dy_.row()};
  return copy_block_rows(dy_, from, k, run.images.size(), run.rows.size(), 1, {outputs_}, panel);
}

std::string DenseWeights::resolved() const {
  return "tiles of " + std::to_string(kTileFilters) + " filters x " + std::to_string(kTileStreams) +
         " vectors, runs of " + std::to_string(image_runs_.largest()) + " images x " +
         std::to_string(row_runs_.largest()) + " rows";
}

}  // namespace

std::unique_ptr<Plan> dense_weights(const Problem& problem, int threads, Layout layout) {
  return std::make_unique<DenseWeights>(problem, threads, layout);
}

}  // namespace convbwd::direct
