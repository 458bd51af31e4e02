// SPDX-License-Identifier: Apache-2.0
#include "direct/few_channels_phases.h"

#include <algorithm>

#include "core/ranges.h"

namespace convbwd::direct {
namespace {

Range around(Range a, Range b) {
  if (a.size() == 0 || b.size() == 0) return a.size() == 0 ? b : a;
  return {std::min(a.begin, b.begin), std::max(a.end, b.end)};
}

}  // namespace

PhaseSums::PhaseSums(const Problem& at, Dim most_outputs)
    : problem(at),
      bundle(most_outputs),
      columns(phases_of(at.W, at.Q, at.S, at.stride_w, at.dilation_w, at.pad_left)),
      slots(columns.size(), -1) {
  for (const Phase& column : columns)
    if (column.taps) margins = around(margins, {column.lowest(), column.beyond()});
  for (const Phase& row : phases_of(at.H, at.P, at.R, at.stride_h, at.dilation_h, at.pad_top)) {
    rows.push_back({row, {}});
    if (row.taps) reach = around(reach, {row.lowest(), row.lead + 1});
  }

  Dim slot = 0;
  for (std::size_t b = 0; b < columns.size(); ++b) {
    const Phase& like = columns[b];
    if (like.taps == 0 || slots[b] >= 0) continue;
    const Dim first = slot;
    for (std::size_t other = b; other < columns.size(); ++other)
      if (columns[other].lead == like.lead && columns[other].taps == like.taps) slots[other] = slot++;
    for (auto& [row, sums] : rows) {
      if (row.taps == 0) continue;
      sums.push_back({w_floats, (slot - first) * at.C, first * at.C, like.count, {}});
      for (Dim t = 0; t < row.taps; ++t)
        for (Dim u = 0; u < like.taps; ++u)
          sums.back().taps.push_back((row.lead - t * row.lag - reach.begin) * pitch() +
                                     (like.lead - u * like.lag - margins.begin));
      w_floats += at.K * row.taps * like.taps * sums.back().outputs;
    }
  }
  for (Dim& place : slots)
    if (place < 0) place = slot++;
}

//   w[row phase, columns with the same taps][bundle][k][t][u][output]    an output: phase 0: c0 c1 c2 | phase 1: c0 ...
void PhaseSums::pack_filters(View4<const float> w, float* packed, int threads) const {
  struct Output {
    const Phase* column;
    Dim c;
  };
  std::vector<Output> outputs(columns.size() * static_cast<std::size_t>(problem.C));
  for (std::size_t b = 0; b < columns.size(); ++b)
    for (Dim c = 0; c < problem.C; ++c) outputs[static_cast<std::size_t>(output(b, c))] = {&columns[b], c};
#pragma omp parallel for schedule(static) num_threads(threads)
  for (Dim k = 0; k < problem.K; ++k)
    for (const auto& [row, sums] : rows)
      for (const Sum& sum : sums) {
        const Dim taps = static_cast<Dim>(sum.taps.size());
        const Parts bundles = parts_of_at_most(bundle, sum.outputs);
        for (Dim part = 0; part < bundles.count; ++part) {
          const Range range = bundles.part(part);
          float* to = packed + sum.w + (range.begin * problem.K + k * range.size()) * taps;
          for (Dim t = 0; t < row.taps; ++t)
            for (Dim u = 0; u < taps / row.taps; ++u)
              for (Dim i = range.begin; i < range.end; ++i) {
                const auto& [column, c] = outputs[static_cast<std::size_t>(sum.first_output + i)];
                *to++ = w(k, c, row.first_tap + t * row.tap_step, column->first_tap + u * column->tap_step);
              }
        }
      }
}

}  // namespace convbwd::direct
