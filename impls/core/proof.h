// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/reference.h"
#include "core/session.h"

namespace convbwd {

/// Loads the reference's inputs, executes and judges; then executes again onto the first result, which must change
/// nothing; and looks for damage. `first_seconds` receives the time of the first execution, and where that is above
/// `slow_seconds` the second is left out.
Verdict prove(Session& session, const Reference& reference, double slow_seconds, double& first_seconds);

/// The same, however long it takes.
Verdict prove(Session& session, const Reference& reference);

}  // namespace convbwd
