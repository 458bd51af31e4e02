// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "core/implementation.h"
#include "direct/few_channels_phases.h"

namespace convbwd::direct {

/// Whether a position of dx has one tap at most, and the same output for all phases.
bool has_patches(const PhaseSums& sums);

/// dx of such a layer. With `plain`, dy is read as it is.
std::unique_ptr<Plan> patches_data(const PhaseSums& sums, int threads, bool plain);

}  // namespace convbwd::direct
