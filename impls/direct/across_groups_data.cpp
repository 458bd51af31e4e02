// SPDX-License-Identifier: Apache-2.0
//
// dx[n,c,h,w] = sum over k of the group, r, s of  dy[n,k,p,q] * w[k,c,r,s],  a lane a group.
//
// No sum crosses lanes, so a layer of kWidth groups is one depthwise layer of vectors. A stride and a dilation leave
// walks of stride 1 along the columns (across_groups_walks.h), rows are taken one by one with the taps that meet them.
// A walk is cut into strips: the blocks at the edges, and between them those whose window lies wholly in the row. Bands
// of some hundred positions are done strip by strip, which spares narrow images a call a row: 960 channels of 7 x 7
// took 0.18 ms row by row and take 0.09 (AVX2). Wide images keep to one row at a time: bands of 4 rows of 112 columns
// cost 15 to 20 %.
//
// Tried, and within the noise between runs: software prefetch of dy and dx, strips of grouped layers cut to fit L1,
// stores past the caches.
#include <algorithm>

#include "core/phases.h"
#include "direct/across_groups.h"
#include "direct/across_groups_data_strip.h"
#include "direct/across_groups_layout.h"
#include "direct/across_groups_walks.h"

namespace convbwd::direct {
namespace {

using simd::kWidth;

constexpr Dim kBandPositions = 100;

template <bool kWhole, bool kDense>
constexpr auto kDataStrip = []<int... tap>(std::integer_sequence<int, tap...>) {
  return std::array<DataKernel, sizeof...(tap)>{data_strip<tap + 1, kWhole, kDense>...};
}
(std::make_integer_sequence<int, kMostDataTaps>{});

DataKernel data_kernel(Dim taps, bool whole, bool dense) {
  const auto& kernels = whole   ? dense ? kDataStrip<true, true> : kDataStrip<true, false>
                          : dense ? kDataStrip<false, true>
                                : kDataStrip<false, false>;
  return kernels[static_cast<std::size_t>(taps - 1)];
}

class DataAcrossGroups final : public AcrossGroups {
 public:
  DataAcrossGroups(const Problem& problem, int threads);
  void execute(const Operands& operands, std::span<std::byte> workspace) const override;
  std::string resolved() const override;

 private:
  /// A strip of all rows, in floats from the beginning of a row of dx, dy and w.
  struct Strip {
    DataKernel kernel;
    DataWalk walk;
    DataStrip strip;
    Dim dx, dy, w;
  };
  void add_strips(const Walk& walk);
  void sum_band(Range rows, const float* dy, const float* w, float* dx) const;

  std::vector<DataRow> rows_;
  std::vector<RowTap> taps_;  // of a row, or more than it has
  std::vector<Strip> strips_;
  Parts bands_;
  Dim shares_;  // of the bands of a plane
};

DataAcrossGroups::DataAcrossGroups(const Problem& problem, int threads) : AcrossGroups(problem, threads) {
  const Problem& at = problem_;
  const Dim K = at.K_per_group(), dy_row = at.Q * kWidth, w_row = at.S * kWidth;
  const auto phases = phases_of(at.H, at.P, at.R, at.stride_h, at.dilation_h, at.pad_top);
  const Dim lag = phases.front().lag, step = phases.front().tap_step;
  for (Dim h = 0; h < at.H; ++h) {
    const Phase& phase = phases[static_cast<std::size_t>(h % at.stride_h)];
    const Range taps = phase.taps_at(h / at.stride_h, at.P);
    rows_.push_back({taps.size() * K, (h / at.stride_h + phase.lead - taps.begin * lag) * dy_row,
                     (phase.first_tap + taps.begin * step) * w_row});
  }
  for (Dim t = 0; t * step < at.R; ++t)
    for (Dim k = 0; k < K; ++k)
      taps_.push_back({k * layout(Role::dy).plane() - t * lag * dy_row,
                       k * at.C_per_group() * layout(Role::w).plane() + t * step * w_row});
  for (const Walk& walk : walks_of(at.W, at.Q, at.S, at.stride_w, at.dilation_w, at.pad_left, kMostDataTaps))
    add_strips(walk);

  bands_ = parts_of_at_most(std::max<Dim>(1, kBandPositions / at.W), at.H);
  shares_ = threads == 1 ? 1 : std::min(bands_.count, ceil_div(4 * threads, at.N * group_blocks()));
}

void DataAcrossGroups::add_strips(const Walk& walk) {
  // A walk without taps has one that meets nothing.
  const Dim taps = std::max<Dim>(1, walk.taps), outputs = walk.taps ? walk.y_count : 0;
  const DataWalk strides{.dx_row = problem_.W * kWidth,
                         .dx_position = walk.x_step * kWidth,
                         .dy_output = walk.y_step * kWidth,
                         .w_tap = walk.tap_step * kWidth,
                         .first = walk.first};
  const bool dense = walk.x_step * walk.y_step * walk.tap_step == 1;
  bool after_whole = false;
  for (Dim begin = 0; begin < walk.x_count; begin += kPositions) {
    const Dim low = begin + walk.lead - (taps - 1);
    const Dim count = std::min<Dim>(kPositions, walk.x_count - begin), window = count + taps - 1;
    const Range inside{std::max<Dim>(0, -low), std::min(window, outputs - low)};
    const bool whole = count == kPositions && inside.size() == window;
    if (whole && after_whole)
      strips_.back().strip.count += count;
    else
      strips_.push_back({data_kernel(taps, whole, dense),
                         strides,
                         {begin, count, inside.begin, inside.size()},
                         (walk.x_first + begin * walk.x_step) * kWidth,
                         (walk.y_first + low * walk.y_step) * kWidth,
                         walk.first_tap * kWidth});
    after_whole = whole;
  }
}

void DataAcrossGroups::execute(const Operands& operands, std::span<std::byte>) const {
  const float* dy = reinterpret_cast<const float*>(operands.packed_at(Role::dy));
  const float* w = reinterpret_cast<const float*>(operands.packed_at(Role::w));
  float* dx = reinterpret_cast<float*>(operands.packed_at(Role::dx));
  const Dim blocks = group_blocks();
  // Neighbouring images and blocks to one thread: one by one, threads would take turns in the same cache lines, and two
  // of them be slower than one on 7 x 7.
  const Dim few = std::max<Dim>(1, problem_.N * blocks * shares_ / (8 * threads_));
  const Dim dy_block = layout(Role::dy).block(), w_block = layout(Role::w).block(), dx_block = layout(Role::dx).block();
#pragma omp parallel for collapse(3) schedule(dynamic, few) num_threads(threads_)
  for (Dim n = 0; n < problem_.N; ++n)
    for (Dim block = 0; block < blocks; ++block)
      for (Dim share = 0; share < shares_; ++share) {
        const Dim image = n * blocks + block;
        const Range bands = Parts{bands_.count, shares_}.part(share);
        for (Dim band = bands.begin; band < bands.end; ++band)
          sum_band(bands_.part(band), dy + image * dy_block, w + block * w_block, dx + image * dx_block);
      }
}

void DataAcrossGroups::sum_band(Range rows, const float* dy, const float* w, float* dx) const {
  const Dim w_plane = layout(Role::w).plane(), dx_plane = layout(Role::dx).plane();
  const DataRows these{rows_.data() + rows.begin, rows_.data() + rows.end, taps_.data()};
  for (const Strip& strip : strips_)
    for (Dim c = 0; c < problem_.C_per_group(); ++c)
      strip.kernel(strip.walk, strip.strip, these, dy + strip.dy, w + c * w_plane + strip.w,
                   dx + c * dx_plane + rows.begin * strip.walk.dx_row + strip.dx);
}

std::string DataAcrossGroups::resolved() const {
  return "groups as lanes, " + std::to_string(kPositions) + " columns, " + std::to_string(strips_.size()) +
         " strips, bands of " + std::to_string(bands_.largest()) + " rows";
}

}  // namespace

std::unique_ptr<Plan> data_across_groups(const Problem& problem, int threads) {
  return std::make_unique<DataAcrossGroups>(problem, threads);
}

}  // namespace convbwd::direct
