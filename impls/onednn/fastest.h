// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "core/implementation.h"

namespace convbwd::onednn {

/// The plan on whichever of the library's kernels is fastest for this problem, threads and layout, its reorders
/// counted, found by running them all on tensors of its own: each once, then those near the lead in turn until 0.3 s
/// are used. Where others are level with the choice of the library, that choice stays.
std::unique_ptr<Plan> fastest_plan(const Problem& problem, Pass pass, const PlanOptions& options);

}  // namespace convbwd::onednn
