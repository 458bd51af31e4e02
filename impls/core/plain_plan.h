// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "core/implementation.h"

namespace convbwd {

/// Makes a plan with layouts of its own take plain tensors: packs the inputs, runs, unpacks the output, all inside
/// execute() and in the workspace. For `PlanOptions::layout` nchw and nhwc:
///     if (options.layout != Layout::native) return packing_inside(std::move(plan), pass);
std::unique_ptr<Plan> packing_inside(std::unique_ptr<Plan> inner, Pass pass);

}  // namespace convbwd
