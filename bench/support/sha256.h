// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace convbwd::support {

/// SHA-256 (FIPS 180-4) in hexadecimal, the name by which a binary or a file is known in results.
std::string sha256(std::string_view bytes);

}  // namespace convbwd::support
