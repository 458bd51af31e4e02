// SPDX-License-Identifier: Apache-2.0
#include <omp.h>

#include <algorithm>
#include <string>
#include <vector>

#include "core/caches.h"
#include "core/channel_vectors.h"
#include "core/ranges.h"
#include "direct/few_channels.h"
#include "direct/few_channels_filter_tile.h"
#include "direct/few_channels_rows.h"

namespace convbwd::direct {
namespace {

using simd::kWidth;

// More columns where filters are few, and dy so small that L2 does not mind: 32 filters of 3x3, stride 2, take 3.2 ms
// with 256 columns and 2.9 with 672, 64 of 7x7 7 % longer (AVX2, Zen 3). Fewer where x would leave L2: 16x16 of stride
// 16, whose run of 196 columns is 600 KB, gained a tenth.
constexpr Dim kRunColumns = 256, kMostRunColumns = 672;
constexpr Dim kRunOutputs = 32 * kMostRunColumns;

constexpr FilterTiles kTiles = filter_tiles();

/// From the first of the outputs that see the image through any of the taps to the last.
Range outputs_seeing(Dim extent, Dim outputs, Dim taps, Dim stride, Dim dilation, Dim pad) {
  Range all;
  for (Dim tap = 0; tap < taps; ++tap) {
    const Range seeing = outputs_inside(extent, outputs, stride, tap * dilation - pad);
    if (seeing.size() == 0) continue;
    all = all.size() == 0 ? seeing : Range{std::min(all.begin, seeing.begin), std::max(all.end, seeing.end)};
  }
  return all;
}

class WeightGradient final : public Plan {
 public:
  WeightGradient(const Problem& problem, int threads);

  std::size_t workspace_bytes() const override {
    return static_cast<std::size_t>(threads_ * panel_floats_ + (sharers_ - 1) * dw_floats_) * sizeof(float);
  }
  std::size_t packed_bytes(Role role) const override;
  void pack(Role, View4<const float> plain, std::byte* packed) const override {
    simd::pack_channels(plain, reinterpret_cast<float*>(packed), {k_vectors_ * dy_plane(), dy_plane()}, threads_);
  }
  void unpack(Role, const std::byte* packed, View4<float> plain) const override;
  void execute(const Operands& operands, std::span<std::byte> workspace) const override;
  std::string resolved() const override;

 private:
  /// A tile of dw, [stream][vector of filters], and where it begins.
  struct Tile {
    Range vectors, streams;
    Dim dw;
    Dim ahead;  // a vector of filters of the next run, which comes to L2 during this one
  };
  struct Run {
    Range images, rows;
  };
  Run run(Dim i) const;

  void copy_rows(Range images, Range rows, View4<const float> x, float* panel) const;
  void add_run(const Run& run, const Run& next, Range tiles, bool first, View4<const float> x, const float* dy,
               float* dw, float* panel) const;

  Dim dy_plane() const { return problem_.P * problem_.Q * kWidth; }

  Problem problem_;
  int threads_;
  Dim k_vectors_;
  std::vector<Tile> tiles_;
  Range rows_, columns_;         // of outputs that see the image
  Parts image_runs_, row_runs_;  // what is summed up before anything is added to dw
  Dim sharers_;                  // threads that share the runs, each with a dw of its own; 1: they share the tiles
  Dim pitch_, panel_rows_;       // of a channel of an image in a panel
  std::vector<Dim> streams_;     // where each begins in a panel
  Dim dw_floats_, panel_floats_;
};

WeightGradient::WeightGradient(const Problem& problem, int threads)
    : problem_(problem), threads_(threads), k_vectors_(simd::blocks_of(problem.K)) {
  const Problem& at = problem_;
  const Dim streams = at.C * at.R * at.S;
  const Parts parts = parts_of_at_most(kMostFilterVectors, k_vectors_);
  for (Dim i = 0; i < parts.count; ++i) {
    const Range vectors = parts.part(i);
    const Parts tiles = parts_of_at_most(tile_streams(vectors.size()), streams);
    for (Dim j = 0; j < tiles.count; ++j)
      tiles_.push_back({vectors, tiles.part(j), (vectors.begin * streams + tiles.begin(j) * vectors.size()) * kWidth,
                        j % vectors.size()});
  }
  dw_floats_ = k_vectors_ * streams * kWidth;

  rows_ = outputs_seeing(at.H, at.P, at.R, at.stride_h, at.dilation_h, at.pad_top);
  columns_ = outputs_seeing(at.W, at.Q, at.S, at.stride_w, at.dilation_w, at.pad_left);
  if (columns_.size() == 0) rows_ = {};
  pitch_ = columns_.size() ? at.w_of(columns_.end - 1, at.S - 1) - at.w_of(columns_.begin, 0) + 1 : 0;
  const Dim run_columns = std::clamp(kRunOutputs / at.K, kRunColumns, kMostRunColumns);
  const Dim rows_in_l2 = l2_bytes() * 2 / 3 / (at.C * std::max<Dim>(1, pitch_) * Dim{sizeof(float)}) / at.stride_h;
  const Dim rows = std::max<Dim>(1, std::min(rows_in_l2, run_columns / std::max<Dim>(1, columns_.size())));
  row_runs_ = parts_of_at_most(rows, rows_.size());
  image_runs_ = parts_of_at_most(std::max<Dim>(1, rows / std::max<Dim>(1, rows_.size())), at.N);

  // Sharing runs costs a dw a thread, written and read once more; sharing tiles a copy of x a thread.
  const Dim runs = image_runs_.count * row_runs_.count;
  sharers_ = 2 * dw_floats_ < at.elements(Role::x) ? std::clamp<Dim>(runs, 1, threads) : 1;

  panel_rows_ = (std::max<Dim>(1, row_runs_.largest()) - 1) * at.stride_h + (at.R - 1) * at.dilation_h + 1;
  panel_floats_ = image_runs_.largest() * at.C * panel_rows_ * pitch_;
  for (Dim c = 0; c < at.C; ++c)
    for (Dim r = 0; r < at.R; ++r)
      for (Dim s = 0; s < at.S; ++s)
        streams_.push_back((c * panel_rows_ + r * at.dilation_h) * pitch_ + s * at.dilation_w);
}

std::size_t WeightGradient::packed_bytes(Role role) const {
  const Dim floats = role == Role::dy ? problem_.N * k_vectors_ * dy_plane() : role == Role::dw ? dw_floats_ : 0;
  return static_cast<std::size_t>(floats) * sizeof(float);
}

void WeightGradient::unpack(Role, const std::byte* packed, View4<float> plain) const {
#pragma omp parallel for schedule(static) num_threads(threads_)
  for (const Tile& tile : tiles_) {
    const float* from = reinterpret_cast<const float*>(packed) + tile.dw;
    for (Dim stream = tile.streams.begin; stream < tile.streams.end; ++stream)
      for (Dim k = tile.vectors.begin * kWidth; k < tile.vectors.end * kWidth; ++k, ++from)
        if (k < problem_.K)
          plain(k, stream / (problem_.R * problem_.S), stream / problem_.S % problem_.R, stream % problem_.S) = *from;
  }
}

void WeightGradient::execute(const Operands& operands, std::span<std::byte> workspace) const {
  const float* dy = reinterpret_cast<const float*>(operands.packed_at(Role::dy));
  float* const dw = reinterpret_cast<float*>(operands.packed_at(Role::dw));
  float* const own_dw = reinterpret_cast<float*>(workspace.data());
  float* const panels = own_dw + (sharers_ - 1) * dw_floats_;
  const Dim runs = image_runs_.count * row_runs_.count, tiles = static_cast<Dim>(tiles_.size());
  if (runs == 0) std::fill_n(dw, dw_floats_, 0.0f);
#pragma omp parallel num_threads(threads_)
  {
    const Dim thread = omp_get_thread_num(), threads = omp_get_num_threads();
    const Range my_runs = sharers_ > 1 ? part(runs, sharers_, thread) : Range{0, runs};
    const Range my_tiles = sharers_ > 1 ? Range{0, tiles} : part(tiles, threads, thread);
    float* const to = sharers_ > 1 && thread > 0 ? own_dw + (thread - 1) * dw_floats_ : dw;
    for (Dim i = my_runs.begin; i < my_runs.end; ++i)
      add_run(run(i), run(std::min(i + 1, my_runs.end - 1)), my_tiles, i == my_runs.begin, operands.x, dy, to,
              panels + thread * panel_floats_);
#pragma omp barrier
    const Range share = part(dw_floats_ / kWidth, threads, thread);
    for (Dim other = 0; other < sharers_ - 1; ++other)
      for (Dim i = share.begin * kWidth; i < share.end * kWidth; i += kWidth)
        simd::store(dw + i, simd::load(dw + i) + simd::load(own_dw + other * dw_floats_ + i));
  }
}

WeightGradient::Run WeightGradient::run(Dim i) const {
  const Range rows = row_runs_.part(i % row_runs_.count);
  return {image_runs_.part(i / row_runs_.count), {rows_.begin + rows.begin, rows_.begin + rows.end}};
}

/// Adds a run to some tiles.
void WeightGradient::add_run(const Run& run, const Run& next, Range tiles, bool first, View4<const float> x,
                             const float* dy, float* dw, float* panel) const {
  const Problem& at = problem_;
  const auto& [images, rows] = run;
  copy_rows(images, rows, x, panel);

  FilterSum sum{.images = images.size(),
                .rows = rows.size(),
                .columns = columns_.size(),
                .dy_image = k_vectors_ * dy_plane(),
                .dy_row = at.Q * kWidth,
                .dy_vector = dy_plane(),
                .x_image = at.C * panel_rows_ * pitch_,
                .x_row = at.stride_h * pitch_,
                .x_column = at.stride_w,
                .streams = nullptr,
                .first = first,
                .ahead = 0};
  const Dim to_next = (next.images.begin - images.begin) * sum.dy_image + (next.rows.begin - rows.begin) * sum.dy_row;
  const float* outputs = dy + images.begin * sum.dy_image + (rows.begin * at.Q + columns_.begin) * kWidth;
  for (Dim i = tiles.begin; i < tiles.end; ++i) {
    const Tile& tile = tiles_[static_cast<std::size_t>(i)];
    sum.ahead = to_next + tile.ahead * dy_plane();
    sum.streams = &streams_[static_cast<std::size_t>(tile.streams.begin)];
    kTiles[static_cast<std::size_t>(tile.vectors.size() - 1)][static_cast<std::size_t>(tile.streams.size() - 1)](
        sum, panel, outputs + tile.vectors.begin * dy_plane(), dw + tile.dw);
  }
}

//   panel[image][c][h][w]      0 ... 0 | w = 0, 1, 2 ... | 0 ... 0       and such rows of zeros above and below
void WeightGradient::copy_rows(Range images, Range rows, View4<const float> x, float* panel) const {
  const Problem& at = problem_;
  const Dim top = at.h_of(rows.begin, 0), bottom = at.h_of(rows.end - 1, at.R - 1) + 1;
  const Dim left = at.w_of(columns_.begin, 0);
  const Range inside{std::max<Dim>(0, left), std::min(at.W, left + pitch_)};
  for (Dim n = images.begin; n < images.end; ++n)
    for (Dim c = 0; c < at.C; ++c)
      for (Dim h = top; h < bottom; ++h) {
        float* const to = panel + (((n - images.begin) * at.C + c) * panel_rows_ + h - top) * pitch_;
        if (h < 0 || h >= at.H) {
          std::fill_n(to, pitch_, 0.0f);
          continue;
        }
        float* const begin = to + inside.begin - left;
        std::fill(to, begin, 0.0f);
        copy_row(&x(n, c, h, inside.begin), x.stride[3], begin, inside.size());
        std::fill(begin + inside.size(), to + pitch_, 0.0f);
      }
}

std::string WeightGradient::resolved() const {
  return "runs of " + std::to_string(image_runs_.largest()) + " images x " + std::to_string(row_runs_.largest()) +
         " rows, " + std::to_string(tiles_.size()) + " tiles";
}

}  // namespace

std::unique_ptr<Plan> few_channels_weights(const Problem& problem, int threads) {
  return std::make_unique<WeightGradient>(problem, threads);
}

}  // namespace convbwd::direct
