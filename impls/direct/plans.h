// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "core/implementation.h"

// The kernels of this folder, one file a class of shapes. Each makes a plan with layouts of its own; which one a
// problem gets is decided in direct.cpp.
namespace convbwd::direct {

/// Any problem: vectors of channels, sums over filters and taps (data) or over outputs (weights) in registers.
/// Knows nhwc itself.
std::unique_ptr<Plan> dense(const Problem& problem, Pass pass, const PlanOptions& options);

/// Groups of few channels (depthwise among them): a lane a group.
std::unique_ptr<Plan> across_groups(const Problem& problem, Pass pass, int threads);

/// Images of few channels (the first layer of a network): pixels (data) or filters (weights) as lanes. Knows the plain
/// layouts itself.
std::unique_ptr<Plan> few_channels(const Problem& problem, Pass pass, const PlanOptions& options);

}  // namespace convbwd::direct
