// SPDX-License-Identifier: Apache-2.0
#include "direct/dense_data_filters.h"

namespace convbwd::direct {

DataFilters::DataFilters(const Problem& at, Parts blocks) : G_(at.G), K_(at.K_per_group()), blocks_(blocks) {
  for (const Phase& row : phases_of(at.H, at.P, at.R, at.stride_h, at.dilation_h, at.pad_top))
    for (const Phase& column : phases_of(at.W, at.Q, at.S, at.stride_w, at.dilation_w, at.pad_left)) {
      lattices_.push_back({row, column, group_floats_});
      group_floats_ += lattices_.back().taps() * tap_floats(blocks_.total);
    }
}

void DataFilters::pack(View4<const float> w, float* packed, int threads) const {
  const Dim S = w.extent[3], taps = w.extent[2] * S;
#pragma omp parallel num_threads(threads)
  {
    std::vector<float> vectors(static_cast<std::size_t>(taps * kLanes));
#pragma omp for collapse(3) schedule(static)
    for (Dim group = 0; group < G_; ++group)
      for (Dim k = 0; k < K_; ++k)
        for (Dim c = 0; c < blocks_.total; ++c) {
          pack_taps(w, group * K_ + k, c, vectors.data());
          const Range block = blocks_.part(blocks_.part_of(c));
          for (const Lattice& lattice : lattices_) {
            const auto& [row, column, offset] = lattice;
            float* to = packed + group * group_floats_ + offset + lattice.taps() * tap_floats(block.begin) +
                        (k * block.size() + c - block.begin) * kLanes;
            for (Dim t = 0; t < row.taps; ++t)
              for (Dim u = 0; u < column.taps; ++u, to += tap_floats(block.size())) {
                const Dim tap = (row.first_tap + t * row.tap_step) * S + column.first_tap + u * column.tap_step;
                simd::store(to, simd::load(vectors.data() + tap * kLanes));
              }
          }
        }
  }
}

}  // namespace convbwd::direct
