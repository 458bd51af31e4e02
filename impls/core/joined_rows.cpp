// SPDX-License-Identifier: Apache-2.0
#include "core/joined_rows.h"

#include <algorithm>

namespace convbwd {

bool is_pointwise(const Problem& problem) {
  return problem.R * problem.S * problem.stride_h * problem.stride_w == 1 && problem.P == problem.H &&
         problem.Q == problem.W && problem.pad_top + problem.pad_left == 0;
}

Problem with_joined_rows(const Problem& problem) {
  constexpr Dim kMostColumns = 128;
  Problem joined = problem;
  for (Dim rows = is_pointwise(problem) ? std::min(problem.H, kMostColumns / problem.W) : 0; rows > 1; --rows)
    if (problem.H % rows == 0) {
      joined.H = joined.P = problem.H / rows;
      joined.W = joined.Q = problem.W * rows;
      break;
    }
  return joined;
}

}  // namespace convbwd
