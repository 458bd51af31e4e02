// SPDX-License-Identifier: Apache-2.0
#include "core/caches.h"

#include <unistd.h>

namespace convbwd {

Dim l2_bytes() {
  static const Dim bytes = [] {
    const long reported = sysconf(_SC_LEVEL2_CACHE_SIZE);
    return reported > 0 ? Dim{reported} : Dim{512 << 10};
  }();
  return bytes;
}

}  // namespace convbwd
