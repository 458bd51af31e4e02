// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "core/registry.h"

namespace convbwd::support {

/// The row called NAME (its best on this CPU) or NAME:ISA. Ends the program with one line where there is none: usage,
/// with the names there are, or not supported, where it was not built or this CPU does not run it.
const Implementation& row_or_exit(const std::string& title);

}  // namespace convbwd::support
