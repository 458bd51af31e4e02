// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "core/implementation.h"

namespace convbwd::direct {

/// In nhwc, images whose blocks of channels are full are read and written as they are; all other plain tensors are
/// packed.
std::unique_ptr<Plan> dense_data(const Problem& problem, int threads, Layout layout);
std::unique_ptr<Plan> dense_weights(const Problem& problem, int threads, Layout layout);

}  // namespace convbwd::direct
