// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "core/implementation.h"

namespace convbwd::direct {

std::unique_ptr<Plan> data_across_groups(const Problem& problem, int threads);
std::unique_ptr<Plan> weights_across_groups(const Problem& problem, int threads);

}  // namespace convbwd::direct
