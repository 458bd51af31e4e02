// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstring>

#include "core/matrix.h"
#include "core/ranges.h"
#include "core/simd.h"

// Between a matrix scattered in a tensor and a dense block: packing of panels, lowering of images, transposition and
// writing results back are all one of the two functions below. Each looks four columns ahead and takes
//   vectors where columns are neighbours in memory,
//   4 x 4 transpositions where rows are (about 0.5 shuffles an element),
//   single elements elsewhere.
// Include it only in code that is compiled for one instruction set; everything here is inline.
namespace convbwd::gemm {

typedef float Quad __attribute__((vector_size(16)));

inline Quad load_quad(const float* p) {
  Quad q;
  std::memcpy(&q, p, sizeof q);
  return q;
}
inline void store_quad(float* p, Quad q) { std::memcpy(p, &q, sizeof q); }

inline void transpose(Quad (&q)[4]) {
  const Quad low01 = __builtin_shufflevector(q[0], q[1], 0, 4, 1, 5);
  const Quad low23 = __builtin_shufflevector(q[2], q[3], 0, 4, 1, 5);
  const Quad high01 = __builtin_shufflevector(q[0], q[1], 2, 6, 3, 7);
  const Quad high23 = __builtin_shufflevector(q[2], q[3], 2, 6, 3, 7);
  q[0] = __builtin_shufflevector(low01, low23, 0, 1, 4, 5);
  q[1] = __builtin_shufflevector(low01, low23, 2, 3, 6, 7);
  q[2] = __builtin_shufflevector(high01, high23, 0, 1, 4, 5);
  q[3] = __builtin_shufflevector(high01, high23, 2, 3, 6, 7);
}

// Rows may lie pages apart, where no hardware prefetcher follows: what the next panel will read is asked for one panel
// ahead.
inline constexpr Dim kAhead = 2 * simd::kWidth;

/// Whether `count` offsets from here on are neighbours in memory.
inline bool neighbours(const Dim* offset, Dim count) {
  for (Dim i = 1; i < count; ++i)
    if (offset[i] != offset[0] + i) return false;
  return true;
}

/// out[i * pitch + j] = data[row[i] + column[j]] for i < rows, j < columns.
inline void gather(const float* data, const Dim* row, Dim rows, const Dim* column, Dim columns, float* out, Dim pitch) {
  Dim j = 0;
  while (j + 4 <= columns) {
    if (j + simd::kWidth <= columns && neighbours(column + j, simd::kWidth)) {
      for (Dim i = 0; i < rows; ++i) {
        const float* const from = data + row[i] + column[j];
        __builtin_prefetch(from + kAhead);
        simd::store(out + i * pitch + j, simd::load(from));
      }
      j += simd::kWidth;
      continue;
    }
    if (neighbours(column + j, 4)) {
      for (Dim i = 0; i < rows; ++i) store_quad(out + i * pitch + j, load_quad(data + row[i] + column[j]));
    } else {
      Dim i = 0;
      while (i < rows) {
        if (i + 4 <= rows && neighbours(row + i, 4)) {
          Quad block[4];
          for (int n = 0; n < 4; ++n) block[n] = load_quad(data + row[i] + column[j + n]);
          transpose(block);
          for (int n = 0; n < 4; ++n) store_quad(out + (i + n) * pitch + j, block[n]);
          i += 4;
        } else {
          for (int n = 0; n < 4; ++n) out[i * pitch + j + n] = data[row[i] + column[j + n]];
          ++i;
        }
      }
    }
    j += 4;
  }
  for (; j < columns; ++j)
    for (Dim i = 0; i < rows; ++i) out[i * pitch + j] = data[row[i] + column[j]];
}

/// data[row[i] + column[j]] = in[i * pitch + j], or += where `accumulate`, for i < rows, j < columns.
template <bool accumulate>
inline void scatter(const float* in, Dim pitch, const Dim* row, Dim rows, const Dim* column, Dim columns, float* data) {
  const auto put = [](float* at, float value) { *at = accumulate ? *at + value : value; };
  const auto put_quad = [](float* at, Quad value) { store_quad(at, accumulate ? load_quad(at) + value : value); };
  Dim j = 0;
  while (j + 4 <= columns) {
    if (neighbours(column + j, 4)) {
      for (Dim i = 0; i < rows; ++i) put_quad(data + row[i] + column[j], load_quad(in + i * pitch + j));
    } else {
      Dim i = 0;
      while (i < rows) {
        if (i + 4 <= rows && neighbours(row + i, 4)) {
          Quad block[4];
          for (int n = 0; n < 4; ++n) block[n] = load_quad(in + (i + n) * pitch + j);
          transpose(block);
          for (int n = 0; n < 4; ++n) put_quad(data + row[i] + column[j + n], block[n]);
          i += 4;
        } else {
          for (int n = 0; n < 4; ++n) put(data + row[i] + column[j + n], in[i * pitch + j + n]);
          ++i;
        }
      }
    }
    j += 4;
  }
  for (; j < columns; ++j)
    for (Dim i = 0; i < rows; ++i) put(data + row[i] + column[j], in[i * pitch + j]);
}

/// The offsets of a few hundred rows or columns at a time, on the stack.
inline constexpr Dim kOffsets = 512;

/// gather() of a block of any size.
inline void gather(const Matrix<const float>& matrix, Range rows, Range columns, float* out, Dim pitch) {
  Dim row[kOffsets], column[kOffsets];
  for (Dim j = 0; j < columns.size(); j += kOffsets) {
    const Dim width = std::min(kOffsets, columns.size() - j);
    matrix.columns.offsets(columns.begin + j, width, column);
    for (Dim i = 0; i < rows.size(); i += kOffsets) {
      const Dim height = std::min(kOffsets, rows.size() - i);
      matrix.rows.offsets(rows.begin + i, height, row);
      gather(matrix.data, row, height, column, width, out + i * pitch + j, pitch);
    }
  }
}

/// scatter() of a block of any size.
inline void scatter(const float* in, Dim pitch, Range rows, Range columns, bool accumulate,
                    const Matrix<float>& matrix) {
  Dim row[kOffsets], column[kOffsets];
  for (Dim j = 0; j < columns.size(); j += kOffsets) {
    const Dim width = std::min(kOffsets, columns.size() - j);
    matrix.columns.offsets(columns.begin + j, width, column);
    for (Dim i = 0; i < rows.size(); i += kOffsets) {
      const Dim height = std::min(kOffsets, rows.size() - i);
      matrix.rows.offsets(rows.begin + i, height, row);
      (accumulate ? scatter<true> : scatter<false>)(in + i * pitch + j, pitch, row, height, column, width, matrix.data);
    }
  }
}

}  // namespace convbwd::gemm
