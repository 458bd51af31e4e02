// SPDX-License-Identifier: Apache-2.0
#include "winograd/tiling.h"

#include <algorithm>
#include <numeric>

#include "core/phases.h"

namespace convbwd::winograd {
namespace {

struct Line {
  Dim wide, narrow;  // where it begins
  Dim count;         // narrow positions
};

/// The positions of a line that meet a pixel of the wide image through some tap.
Range live_positions(const Line& line, Dim wide_step, Dim wide_extent, Dim taps) {
  const Dim first = -floor_div(line.wide, wide_step) - (taps - 1);
  const Dim last = floor_div(wide_extent - 1 - line.wide, wide_step);
  return {std::max<Dim>(0, first), std::min(line.count, last + 1)};
}

/// The smallest tile that is left over when large ones have been cut off, for any of the lines; the largest one where
/// nothing is.
const TileSize* leftover_size(const AxisAlgorithm& algorithm, const std::vector<Range>& positions) {
  Dim most = 0;
  for (const Range& each : positions) most = std::max(most, each.size() % algorithm.largest().outputs);
  const TileSize* size = &algorithm.sizes.front();
  for (const TileSize& each : algorithm.sizes)
    if (each.outputs >= most) size = &each;
  return most == 0 ? &algorithm.sizes.front() : size;
}

AxisTiling tiling_of(const AxisAlgorithm& algorithm, Dim first_tap, Dim tap_step, Dim wide_step, Dim narrow_step,
                     Dim wide_extent, const std::vector<Line>& lines) {
  std::vector<Range> positions;
  for (const Line& line : lines) positions.push_back(live_positions(line, wide_step, wide_extent, algorithm.taps));
  AxisTiling tiling{.algorithm = &algorithm,
                    .first_tap = first_tap,
                    .tap_step = tap_step,
                    .wide_step = wide_step,
                    .narrow_step = narrow_step,
                    .size = {&algorithm.largest(), leftover_size(algorithm, positions)},
                    .tiles = {}};
  for (std::size_t i = 0; i < lines.size(); ++i)
    for (Dim at = positions[i].begin, left; (left = positions[i].end - at) > 0;) {
      const std::size_t kind = left < tiling.size[0]->outputs && tiling.size[1] != tiling.size[0];
      const Dim outputs = std::min<Dim>(left, tiling.size[kind]->outputs);
      const Dim wide = lines[i].wide + at * wide_step;
      // Pixels that only outputs beyond the last one would read must not be seen: they would cancel, but not without
      // rounding errors.
      const Dim points = outputs + algorithm.taps - 1;
      const Range live{wide >= 0 ? 0 : -floor_div(wide, wide_step),
                       std::min(points, floor_div(wide_extent - 1 - wide, wide_step) + 1)};
      tiling.tiles[kind].push_back({{wide, live}, {lines[i].narrow + at * narrow_step, {0, outputs}}});
      at += outputs;
    }
  return tiling;
}

/// dx: the phases of core/phases.h, whose filters are taken backwards.
std::vector<AxisTiling> data_tilings(const Axis& axis, Family family) {
  std::vector<AxisTiling> tilings;
  for (const Phase& phase : phases_of(axis.extent, axis.outputs, axis.taps, axis.stride, axis.dilation, axis.pad)) {
    if (phase.taps == 0) continue;
    std::vector<Line> lines;
    for (Dim i = 0; i < std::min(phase.lag, phase.count); ++i)
      lines.push_back({i + phase.lead - (phase.taps - 1) * phase.lag, phase.first + i * axis.stride,
                       ceil_div(phase.count - i, phase.lag)});
    tilings.push_back(tiling_of(*axis_algorithm(family.m, phase.taps, family.constants),
                                phase.first_tap + (phase.taps - 1) * phase.tap_step, -phase.tap_step, phase.lag,
                                axis.stride * phase.lag, axis.outputs, lines));
  }
  return tilings;
}

/// dw: taps whose distance in x is a multiple of the stride are a part, for they see the same pixels of x.
std::vector<AxisTiling> weight_tilings(const Axis& axis, Family family) {
  const Dim common = std::gcd(axis.stride, axis.dilation), step = axis.stride / common, lag = axis.dilation / common;
  const auto meets = [&](Dim tap) {
    return outputs_inside(axis.extent, axis.outputs, axis.stride, tap * axis.dilation - axis.pad).size() > 0;
  };
  std::vector<AxisTiling> tilings;
  for (Dim part = 0; part < std::min(step, axis.taps); ++part) {
    Dim first = part, end;
    while (first < axis.taps && !meets(first)) first += step;
    for (end = first; end < axis.taps && meets(end);) end += step;
    if (end == first) continue;
    std::vector<Line> lines;
    for (Dim p = 0; p < std::min(lag, axis.outputs); ++p)
      lines.push_back({p * axis.stride - axis.pad + first * axis.dilation, p, ceil_div(axis.outputs - p, lag)});
    tilings.push_back(tiling_of(*axis_algorithm(family.m, (end - first) / step, family.constants), first, step,
                                axis.stride * lag, lag, axis.extent, lines));
  }
  return tilings;
}

}  // namespace

Axis rows_of(const Problem& at) { return {at.H, at.P, at.R, at.stride_h, at.dilation_h, at.pad_top}; }
Axis columns_of(const Problem& at) { return {at.W, at.Q, at.S, at.stride_w, at.dilation_w, at.pad_left}; }

Dim longest_part(const Axis& axis) { return ceil_div(axis.taps, axis.stride / std::gcd(axis.stride, axis.dilation)); }

std::vector<AxisTiling> tilings_of(const Axis& axis, Pass pass, Family family) {
  return pass == Pass::data ? data_tilings(axis, family) : weight_tilings(axis, family);
}

Tiling::Tiling(AxisTiling rows, AxisTiling columns, Dim N) : rows_(std::move(rows)), columns_(std::move(columns)) {
  for (std::size_t kind = 0; kind < 4; ++kind) {
    const auto [row_size, column_size] = kSizes[kind];
    begin_[kind + 1] =
        begin_[kind] + N * static_cast<Dim>(rows_.tiles[row_size].size() * columns_.tiles[column_size].size());
  }
}

Range Tiling::tiles_of(Dim bin) const {
  const bool small_rows = bin / bins_across() < rows_.size[1]->points;
  const bool small_columns = bin % bins_across() < columns_.size[1]->points;
  return {begin_[small_rows ? 0 : 1], begin_[!small_columns ? 2 : small_rows ? 4 : 3]};
}

Dim Tiling::filter_bin(Dim bin) const {
  const Dim down = std::min<Dim>(bin / bins_across(), rows_.algorithm->filter.out - 1);
  return down * filter_bins_across() + std::min(bin % bins_across(), filter_bins_across() - 1);
}

}  // namespace convbwd::winograd
