// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

namespace convbwd::support {

/// Why no file can be put there, as far as that shows without writing: `file` is something else than a regular file, or
/// its folder cannot be written to. Nothing if it can.
std::string reason_not_to_write(const std::string& file);

struct Written {
  std::string error;       // what failed and why; empty where the file is there
  bool disk_full = false;  // and not a fault of the place
};

/// Writes the pieces one after the other: temporary name beside the file, fsync, rename. The file is there whole, or
/// what was there before is untouched.
Written write_whole(const std::string& file, std::initializer_list<std::string_view> pieces);

}  // namespace convbwd::support
