// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <omp.h>

#include "core/ranges.h"

namespace convbwd {

/// The threads that work on one thing together, as one of them sees it: all of an OpenMP team, or a thread alone. Every
/// one of them calls the same functions, which take their shares and meet at barriers.
struct Team {
  int size = 1, rank = 0;

  static Team all() { return {omp_get_num_threads(), omp_get_thread_num()}; }
  static Team alone() { return {}; }

  /// This thread's part of `total` things.
  Range share(Dim total) const { return part(total, size, rank); }

  void barrier() const {
    if (size > 1) {
#pragma omp barrier
    }
  }
};

}  // namespace convbwd
