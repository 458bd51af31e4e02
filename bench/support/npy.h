// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "core/problem.h"
#include "support/whole_file.h"

namespace convbwd::support {

// NumPy's .npy files, versions 1 to 3, of one kind only: four axes of float32, little endian, in C order. Whatever else
// a file holds is refused in one line.

/// What numpy refuses to read as a header, we refuse too.
inline constexpr std::size_t kMostNpyHeaderBytes = 10000;

/// The beginning of a file, up to its first number.
struct NpyHeader {
  std::vector<Dim> shape;
  std::size_t data_offset = 0;  // of the first number, in bytes
  std::string error;
};
NpyHeader parse_npy_header(std::string_view beginning);

/// The elements of a file that has exactly this shape.
struct NpyTensor {
  std::vector<float> values;
  std::string error;
};
NpyTensor read_npy(const std::string& file, const std::array<Dim, 4>& shape);

/// A file that is there whole, or not at all.
Written write_npy(const std::string& file, const std::array<Dim, 4>& shape, const std::vector<float>& values);

}  // namespace convbwd::support
