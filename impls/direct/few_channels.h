// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "core/implementation.h"

namespace convbwd::direct {

/// dx: pixels are the lanes. G is 1. In plain layouts dy is read as it is.
std::unique_ptr<Plan> few_channels_data(const Problem& problem, int threads, Layout layout);

/// dw from plain x: filters are the lanes. G is 1.
std::unique_ptr<Plan> few_channels_weights(const Problem& problem, int threads);

}  // namespace convbwd::direct
