// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/problem.h"

namespace convbwd {

/// Whether the filter is 1x1 and every pixel of the image meets it once.
bool is_pointwise(const Problem& problem);

/// A pointwise layer does not know where its rows end: joins as many rows as give at most 128 columns, which
/// leaves fewer and fuller tiles. Any other problem is returned as it is.
Problem with_joined_rows(const Problem& problem);

}  // namespace convbwd
