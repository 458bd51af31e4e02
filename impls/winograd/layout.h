// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/caches.h"
#include "core/image_layout.h"
#include "core/ranges.h"

// Layouts of this folder, beside that of images (core/image_layout.h). In all of them the innermost index is a lane:
// kWidth channels that are neighbours in memory, so that every transform is made of whole vectors. The last block of
// channels is filled up with zeros.
namespace convbwd::winograd {

using simd::blocks_of;
using simd::ImageLayout;
using simd::padded;

/// w or dw: group, block of input channels, filter, tap, lane; filters are filled up to a whole number of vectors too,
/// because they are lanes of dy. With kWidth = 8 and, in a group, C = 20, K = 13 (up to 16):
///
///   block 0: k0 r0s0 c0-7 | k0 r0s1 c0-7 | ... | k0 r2s2 c0-7 | k1 r0s0 c0-7 | ... | k15 r2s2 0
///   block 1: k0 r0s0 c8-15 | ...
struct FilterLayout {
  Dim G, K, C, R, S;  // K, C of one group

  Dim filter() const { return R * S * simd::kWidth; }
  Dim block() const { return padded(K) * filter(); }
  Dim group() const { return blocks_of(C) * block(); }
  Dim floats() const { return G * group(); }
};

/// What the products read and write: for each bin a matrix of `rows` (tiles, or filters) times `blocks` of lanes, as
/// bin, block, row, lane. 2 blocks and 3 rows with kWidth = 8:
///
///   bin 0: (row 0 lanes 0-7, row 1 lanes 0-7, row 2 lanes 0-7)  (row 0 lanes 8-15, row 1 ..., row 2 ...)
///          16 floats unused
///   bin 1: ...
///
/// Without the 64 unused bytes the stores of a transform, one a bin, would fall into one set of the cache whenever a
/// bin's size is a multiple of 4 KB; with them they fall into neighbouring sets.
struct BinLayout {
  Dim bins = 0, blocks = 0, rows = 0;

  Dim block_stride() const { return rows * simd::kWidth; }
  Dim bin_stride() const { return blocks * block_stride() + kLine; }
  Dim floats() const { return ceil_div(bins * bin_stride(), kLine) * kLine; }
};

/// A BinLayout somewhere in memory.
struct Bins : BinLayout {
  float* data = nullptr;

  float* at(Dim bin, Dim block, Dim row) const {
    return data + bin * bin_stride() + block * block_stride() + row * simd::kWidth;
  }
};

/// Hands out pieces of a workspace, each on a cache line of its own.
class Carver {
 public:
  explicit Carver(float* workspace) : next_(workspace) {}
  Bins take(const BinLayout& layout) {
    Bins bins{layout, next_};
    next_ += layout.floats();
    return bins;
  }
  float* rest() const { return next_; }

 private:
  float* next_;
};

}  // namespace convbwd::winograd
