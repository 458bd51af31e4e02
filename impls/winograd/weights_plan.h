// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <omp.h>

#include "winograd/packed_plan.h"
#include "winograd/products.h"

namespace convbwd::winograd {

/// dw by the transposed algorithm: in every bin a matrix product over the tiles, then one inverse transform a filter:
///
///   for a run of tiles:                       X, Y: the transformed tiles of x and dy, all channels
///     for a slab of 64 filters x 64 channels: D += Y' X in each bin
///   dw from D
///
/// If D, the gradient of all transformed filters, is small, every thread takes its own tiles and has its own D, so that
/// runs of tiles and D stay in its L2; the copies are added in the order of their numbers. Otherwise all threads share
/// the runs of tiles, long ones that fill L3, and divide the slabs; with a single run a slab of D is used up in L2.
/// Either way the result depends only on the number of threads, not on their timing.
template <const auto& kMatrices>
class WeightsPlan final : public PackedPlan {
  using F = Transforms<kMatrices>;
  static constexpr Dim kBins = F::n * F::n;

 public:
  WeightsPlan(const Problem& problem, int threads) : PackedPlan(problem, threads) {
    // Pixels of x that no output reads must not be seen: they would cancel, but not without rounding errors.
    const auto live = [](Dim extent, Dim outputs, Dim pad) {
      return std::clamp(outputs + F::r - 1 - pad, Dim{0}, extent);
    };
    x_ = {image_layout(Role::x), live(problem.H, problem.P, problem.pad_top),
          live(problem.W, problem.Q, problem.pad_left)};
    dy_ = {image_layout(Role::dy), problem.P, problem.Q};
    dy_tiling_ = {F::m, 0, 0, ceil_div(problem.P, F::m), ceil_div(problem.Q, F::m), problem.N};
    x_tiling_ = dy_tiling_;
    x_tiling_.top = -problem.pad_top;
    x_tiling_.left = -problem.pad_left;
    const auto live_taps = [](Dim extent, Dim outputs, Dim pad) { return Range{pad - outputs + 1, extent + pad}; };
    live_ = {live_taps(problem.H, problem.P, problem.pad_top), live_taps(problem.W, problem.Q, problem.pad_left)};

    gradients_ = {kBins, blocks_of(problem.C), padded(problem.K)};
    split_tiles_ = gradients_.floats() <= kSmallGradients;
    parts_ = split_tiles_ ? std::min(Dim{threads}, tiles()) : 1;
    const Dim a_part = ceil_div(tiles(), parts_);
    const Dim a_tile = kBins * (padded(problem.K) + padded(problem.C));
    const Dim most = std::max((split_tiles_ ? kRunInL2 : kRunInL3) / a_tile, kLeastTiles);
    run_ = ceil_div(a_part, ceil_div(a_part, most));
    x_bins_ = {kBins, blocks_of(problem.C), run_};
    dy_bins_ = {kBins, blocks_of(problem.K), run_};

    single_run_ = !split_tiles_ && run_ >= tiles();
    slab_c_ = slab_k_ = kSlabBlocks;
    while (!split_tiles_ && slabs() < threads && slab_k_ > 1) slab_k_ = ceil_div(slab_k_, 2);
    if (single_run_) gradients_ = {kBins, slab_c_, slab_k_ * simd::kWidth};
  }

  std::size_t workspace_bytes() const override {
    const Dim copies = single_run_ ? threads_ : parts_;
    const Dim floats = parts_ * (x_bins_.floats() + dy_bins_.floats()) + copies * gradients_.floats();
    return static_cast<std::size_t>(floats) * sizeof(float);
  }

  std::string resolved() const override {
    const std::string runs = "runs of " + std::to_string(run_) + " tiles, ";
    return runs + (split_tiles_ ? "split among threads" : std::to_string(slabs()) + " slabs of filters");
  }

  void execute(const Operands& operands, std::span<std::byte> workspace) const override {
    const float* const x = tensor(operands, Role::x);
    const float* const dy = tensor(operands, Role::dy);
    float* const dw = tensor(operands, Role::dw);
    const Carver carver(workspace.data());
#pragma omp parallel num_threads(threads_)
    {
      if (split_tiles_)
        by_tiles(x, dy, carver, dw);
      else
        by_slabs(x, dy, carver, dw);
    }
  }

 private:
  // 16 * 64 * 64 transformed gradients are 256 KB and stay in L2, with 512 KB of transformed tiles or without.
  static constexpr Dim kSmallGradients = 96 * 1024, kRunInL2 = 128 * 1024;
  // 8 MB of transformed tiles in L3; a slab of 256 KB in L2 is read and written once for each run.
  static constexpr Dim kRunInL3 = 2 * 1024 * 1024;
  static constexpr Dim kSlabBlocks = 64 / simd::kWidth;
  static constexpr Dim kLeastTiles = 32;

  Dim tiles() const { return dy_tiling_.tiles(); }
  Dim slabs_across() const { return ceil_div(blocks_of(problem_.C), slab_c_); }
  Dim slabs() const { return slabs_across() * ceil_div(blocks_of(problem_.K), slab_k_); }

  // All of the following are called by every thread of the team.

  void by_tiles(const float* x, const float* dy, const Carver& carver, float* dw) const {
    const Dim part_floats = x_bins_.floats() + dy_bins_.floats() + gradients_.floats();
#pragma omp for schedule(static, 1)
    for (Dim i = 0; i < parts_; ++i) {
      Carver own = carver;
      own.skip(i * part_floats);
      const Bins gradients = own.take(gradients_), x_bins = own.take(x_bins_), dy_bins = own.take(dy_bins_);
      const Range mine = part(tiles(), parts_, i);
      for (Dim first = mine.begin; first < mine.end; first += run_) {
        const Range span{first, std::min(first + run_, mine.end)};
        for (Dim block = 0; block < x_bins.blocks; ++block)
          tiles_to_bins<F::input>(x_, x, block, x_tiling_, span, x_bins, 0);
        for (Dim block = 0; block < dy_bins.blocks; ++block)
          tiles_to_bins<F::output_gradient>(dy_, dy, block, dy_tiling_, span, dy_bins, 0);
        multiply_gradients(dy_bins, x_bins, span.size(), {0, dy_bins.blocks}, {0, x_bins.blocks}, gradients,
                           first > mine.begin);
      }
    }
    const Bins gradients = Carver(carver).take(gradients_);
#pragma omp for collapse(2) schedule(static)
    for (Dim block = 0; block < gradients_.blocks; ++block)
      for (Dim k = 0; k < gradients_.rows; k += simd::kWidth)
        bins_to_filters<F::filter_gradient>(gradients, block, k, parts_, part_floats, live_, filter_layout(), dw, block,
                                            {k, k + simd::kWidth});
  }

  void by_slabs(const float* x, const float* dy, Carver carver, float* dw) const {
    const Bins x_bins = carver.take(x_bins_), dy_bins = carver.take(dy_bins_);
    if (single_run_) carver.skip(omp_get_thread_num() * gradients_.floats());
    const Bins gradients = carver.take(gradients_);
    for (Dim first = 0; first < tiles(); first += run_) {
      const Range span{first, std::min(first + run_, tiles())};
      transform_run(x, dy, span, x_bins, dy_bins);
#pragma omp for schedule(static)
      for (Dim slab = 0; slab < slabs(); ++slab) {
        const Dim c = slab % slabs_across() * slab_c_, k = slab / slabs_across() * slab_k_;
        const Range c_blocks{c, std::min(c + slab_c_, x_bins.blocks)},
            k_blocks{k, std::min(k + slab_k_, dy_bins.blocks)};
        Bins result = gradients;
        if (!single_run_) result.data = gradients.at(0, c, k * simd::kWidth);
        multiply_gradients(dy_bins, x_bins, span.size(), k_blocks, c_blocks, result, first > 0);
        if (span.end < tiles()) continue;
        for (Dim block = c_blocks.begin; block < c_blocks.end; ++block)
          bins_to_filters<F::filter_gradient>(result, block - c, 0, 1, 0, live_, filter_layout(), dw, block,
                                              {k * simd::kWidth, k_blocks.end * simd::kWidth});
      }
    }
  }

  /// Each of the two tensors' blocks of channels is cut into pieces of some tiles.
  void transform_run(const float* x, const float* dy, Range run, const Bins& x_bins, const Bins& dy_bins) const {
    const Dim pieces = ceil_div(run.size(), kLeastTiles);
#pragma omp for collapse(2) schedule(static)
    for (Dim block = 0; block < x_bins.blocks + dy_bins.blocks; ++block)
      for (Dim piece = 0; piece < pieces; ++piece) {
        const Range rows = part(run.size(), pieces, piece), span{run.begin + rows.begin, run.begin + rows.end};
        if (block < x_bins.blocks)
          tiles_to_bins<F::input>(x_, x, block, x_tiling_, span, x_bins, rows.begin);
        else
          tiles_to_bins<F::output_gradient>(dy_, dy, block - x_bins.blocks, dy_tiling_, span, dy_bins, rows.begin);
      }
  }

  Window x_, dy_;
  Tiling x_tiling_, dy_tiling_;
  LiveTaps live_;
  bool split_tiles_, single_run_;
  Dim parts_, run_;      // parts of the tiles that have bins of their own; tiles transformed at a time
  Dim slab_c_, slab_k_;  // in blocks of channels
  BinLayout x_bins_, dy_bins_, gradients_;
};

}  // namespace convbwd::winograd
