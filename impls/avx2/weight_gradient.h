// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "core/implementation.h"

namespace convbwd::avx2 {

/// dw from dy and x, in layouts of its own (see the .cpp). C/G and K/G are multiples of 8, or G is 1.
std::unique_ptr<Plan> weight_gradient(const Problem& problem, int threads);

}  // namespace convbwd::avx2
