// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "core/implementation.h"

namespace convbwd::direct {

std::unique_ptr<Plan> dense_data(const Problem& problem, int threads);
std::unique_ptr<Plan> dense_weights(const Problem& problem, int threads);

}  // namespace convbwd::direct
