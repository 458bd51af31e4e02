// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "core/implementation.h"

namespace convbwd::direct {

/// Plain images are read as they are; dx is written so in nhwc whose blocks of channels are full, and unpacked
/// otherwise.
std::unique_ptr<Plan> dense_data(const Problem& problem, int threads, Layout layout);
std::unique_ptr<Plan> dense_weights(const Problem& problem, int threads, Layout layout);

/// is_pointwise() problems in nchw: images are read and written as they are.
std::unique_ptr<Plan> pointwise_data(const Problem& problem, int threads);

}  // namespace convbwd::direct
