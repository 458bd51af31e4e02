// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <vector>

#include "core/problem.h"
#include "core/ranges.h"
#include "winograd/algorithms.h"

// How a pass is cut into tiles. Both gradients are sums over taps of a filter of F(m, r), between two images:
//
//                    wide: n positions a tile, tiles overlap      narrow: m positions a tile, tiles are disjoint
//   data gradient    dy                                           dx
//   weight gradient  x                                            dy
//
// A stride or a dilation is a matter of which positions these are. Position i of one *line* along an axis is
// narrow + i * narrow_step in the narrow image; through tap u it meets wide + (i + u) * wide_step in the wide one. A
// dense axis of stride 1 is one line; with dilation d every d-th position is one; and with stride s the filter falls
// into up to s *parts*, each a filter of its own with lines of its own (3 taps, stride 2: parts of 2 taps and of 1).
namespace convbwd::winograd {

/// F(m, .) for filters of any length.
struct Family {
  int m;
  Constants constants = Constants::signed_;
};

/// What a tile covers of one image along an axis: from position `first` on, which may be outside, the elements `live`.
struct Stretch {
  Dim first;
  Range live;
};

struct TileSpan {
  Stretch wide, narrow;
};

/// One part of the filter along one axis, and the tiles of its lines.
struct AxisTiling {
  const AxisAlgorithm* algorithm;
  Dim first_tap, tap_step;  // tap u of the algorithm is tap first_tap + u * tap_step of the filter; tap_step may be < 0
  Dim wide_step, narrow_step;
  // Tiles of the largest size, and what is left over at the ends of the lines: 7 = 4 + 3, 14 = 4 + 4 + 4 + 2.
  std::array<const TileSize*, 2> size;
  std::array<std::vector<TileSpan>, 2> tiles;
};

/// An axis of a problem: `extent` pixels of x, `outputs` of y, and the filter.
struct Axis {
  Dim extent, outputs, taps, stride, dilation, pad;
};
Axis rows_of(const Problem& problem);
Axis columns_of(const Problem& problem);

/// Taps of the longest part of the filter.
Dim longest_part(const Axis& axis);

/// The parts of an axis, by F(m, .). Positions and taps that meet nothing are in none of them; every part is short
/// enough that there is an algorithm (longest_part()).
std::vector<AxisTiling> tilings_of(const Axis& axis, Pass pass, Family family);

/// Tiles that are transformed together: each pass runs over all of them before the next one waits for its results.
inline constexpr Dim kMostTiles = 4;

/// Tiles of one part along the rows and one along the columns, over all images. They are numbered so that the tiles
/// that have a certain bin follow one another: by their sizes (rows, columns)
///     small, large | large, large | large, small | small, small
/// since a small tile lacks the last bins of a large one. Within a size they go image by image, row by row.
class Tiling {
 public:
  Tiling(AxisTiling rows, AxisTiling columns, Dim N);

  const AxisTiling& rows() const { return rows_; }
  const AxisTiling& columns() const { return columns_; }
  Dim bins_down() const { return rows_.size[0]->points; }
  Dim bins_across() const { return columns_.size[0]->points; }
  Dim bins() const { return bins_down() * bins_across(); }
  Dim tiles() const { return begin_.back(); }
  /// Bins of the transformed filters. One tap along an axis has the same value in all bins along it, which is kept
  /// once; so is the sum of its gradients in them.
  Dim filter_bins_across() const { return columns_.algorithm->filter.out; }
  Dim filter_bins() const { return rows_.algorithm->filter.out * filter_bins_across(); }
  /// The one that the tiles' bin `bin` is multiplied by.
  Dim filter_bin(Dim bin) const;
  /// Tiles that have this bin.
  Range tiles_of(Dim bin) const;

  /// Tiles of one size that follow one another, `first` and on; where each of them is.
  struct Batch {
    Dim first;
    const TileSize &rows, &columns;
    struct Place {
      Dim image;
      const TileSpan *down, *across;
    };
    std::array<Place, kMostTiles> places;
    Dim count;
  };

  /// visit(batch) for all of these tiles.
  template <class Visit>
  void for_each_batch(Range tiles, Visit visit) const {
    for (std::size_t kind = 0; kind < 4; ++kind) {
      const auto [row_size, column_size] = kSizes[kind];
      const auto& down = rows_.tiles[row_size];
      const auto& across = columns_.tiles[column_size];
      const Dim begin = std::max(tiles.begin, begin_[kind]), end = std::min(tiles.end, begin_[kind + 1]);
      if (begin >= end) continue;
      const Dim width = static_cast<Dim>(across.size()), height = static_cast<Dim>(down.size());
      const Dim at = begin - begin_[kind];
      Dim column = at % width, row = at / width % height, image = at / (width * height);
      for (Dim first = begin; first < end; first += kMostTiles) {
        Batch batch{first, *rows_.size[row_size], *columns_.size[column_size], {}, std::min(kMostTiles, end - first)};
        for (Dim i = 0; i < batch.count; ++i) {
          batch.places[static_cast<std::size_t>(i)] = {image, &down[static_cast<std::size_t>(row)],
                                                       &across[static_cast<std::size_t>(column)]};
          if (++column < width) continue;
          column = 0;
          if (++row < height) continue;
          row = 0;
          ++image;
        }
        visit(batch);
      }
    }
  }

 private:
  static constexpr std::array<std::array<std::size_t, 2>, 4> kSizes{{{1, 0}, {0, 0}, {0, 1}, {1, 1}}};

  AxisTiling rows_, columns_;
  std::array<Dim, 5> begin_{};
};

}  // namespace convbwd::winograd
