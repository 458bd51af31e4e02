// SPDX-License-Identifier: Apache-2.0
//
// winograd: fewer multiplications, by interpolation (Toom, Cook; Winograd, Arithmetic Complexity of Computations, 1980;
// Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2016; the weight gradient is their algorithm
// transposed). Derivation in README.md. With F(m, r), n = m + r - 1:
//
//   dx tile = A' [ sum over k     of (G w~ G') * (B' dy B) ] A     w~: filter rotated by 180 degrees
//   dw      = G' [ sum over tiles of (B' x B) * (A dy A')  ] G
//
// The n x n tiles of dy (for dw, of x), which the filter slides over, overlap; the m x m tiles of dx (dy) do not.
// The sums are matrix products, one for each of the n * n elements of a tile (a bin). F(4x4, 3x3) needs 36 of them
// where the definition needs 144 multiplications for the same 16 pixels: 4 times fewer, plus additions in proportion to
// the tensors. Strides and dilations split a layer into such convolutions (tiling.h). The transform of the filters is
// done at every execution: the packed layouts only permute elements. Memory: bins, up to 93 MB on VGG-16 (workspace).
// Precision: README.md.
#include <algorithm>

#include "core/plain_plan.h"
#include "winograd/packed_plan.h"
#include "winograd/points.h"
#include "winograd/products.h"

namespace convbwd::winograd {
namespace {

/// Taps of the longest part of the filter along any axis.
Dim longest_part(const Problem& problem) {
  return std::max(longest_part(rows_of(problem)), longest_part(columns_of(problem)));
}

template <Dim least_taps, Dim most_taps>
Support supports(const Problem& problem, Pass) {
  const Dim taps = longest_part(problem);
  if (problem.R * problem.S == 1) return no("a 1x1 filter has nothing to save");
  if (problem.P * problem.Q == 1) return no("a single output pixel has nothing to save");
  if (taps == 1) return no("a stride that leaves one tap of the filter a phase: nothing to save");
  if (taps < least_taps) return no("only filters of 4 or 5 taps an axis and phase");
  if (taps > most_taps) return no("only filters of up to " + std::to_string(most_taps) + " taps an axis and phase");
  if (problem.G > 1 && std::min(problem.C_per_group(), problem.K_per_group()) < 16)
    return no("only groups of at least 16 channels and filters");
  return yes();
}

template <int m, Constants constants = Constants::signed_>
std::unique_ptr<Plan> plan(const Problem& problem, Pass pass, const PlanOptions& options) {
  auto plan = pass == Pass::data ? data_plan(problem, options.threads, options.layout, {m, constants})
                                 : weights_plan(problem, options.threads, options.layout, {m, constants});
  return options.layout == Layout::native ? std::move(plan) : packing_inside(std::move(plan), pass);
}

/// Those of the transforms, and of a sum over filters, or over tiles: in registers, by kDepth at most, and then in
/// memory, once a block of filters or a run of tiles, and for dw in as many bins of the tiles as share one of the
/// filters.
template <int m>
double roundings(const Problem& problem, Pass pass) {
  double most = 0;
  for (const AxisTiling& rows : tilings_of(rows_of(problem), pass, {m}))
    for (const AxisTiling& columns : tilings_of(columns_of(problem), pass, {m})) {
      const Tiling tiling(rows, columns, problem.N);
      const bool data = pass == Pass::data;
      const Dim products = data ? problem.K_per_group() : tiling.tiles();
      const Dim additions = data ? ceil_div(products, simd::kWidth)
                                 : ceil_div(products, kLeastRunTiles / 2) * tiling.bins() / tiling.filter_bins();
      const Dim depth = std::min(products, kDepth) + additions;
      most = std::max(most, static_cast<double>(rows.algorithm->roundings + columns.algorithm->roundings + depth));
    }
  return most;
}

/// F(m, .) for filters of these lengths, with the error constant that README.md tells the origin of.
template <int m, Dim least_taps, Dim most_taps>
constexpr Implementation row(std::string_view name, std::string_view idea, double error_constant) {
  return {.name = name,
          .idea = idea,
          .isa = kCompiledIsa,
          .threaded = true,
          .exact_on_integers = false,
          .error_constant = error_constant,
          .mixes_outputs = true,
          .supports = supports<least_taps, most_taps>,
          .plan = plan<m>,
          .magnitudes = plan<m, Constants::absolute>,
          .roundings = roundings<m>};
}

constexpr Implementation exact(Implementation row, double integer_growth) {
  row.exact_on_integers = true;
  row.integer_growth = integer_growth;
  return row;
}

constexpr Implementation rows[] = {
    exact(row<2, 2, 3>("winograd_f2", "F(2x2,3x3): 2.25 times fewer multiplications by interpolation", 4),
          integer_growth(kF2x3)),
    row<4, 2, 3>("winograd_f4", "F(4x4,3x3): 4 times fewer, smaller tiles at the edges", 26),
    row<6, 2, 3>("winograd_f6", "F(6x6,3x3): 5 times fewer, less accurate", 180),
    row<2, 4, 5>("winograd_f2_5x5", "F(2x2,5x5): 2.8 times fewer", 30),
    row<4, 4, 5>("winograd_f4_5x5", "F(4x4,5x5): 6 times fewer, smaller tiles at the edges", 105),
};

}  // namespace
}  // namespace convbwd::winograd

CONVBWD_EXPORT_ROWS(convbwd::winograd::rows);
