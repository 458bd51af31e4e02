// SPDX-License-Identifier: Apache-2.0
#include "direct/few_channels.h"

#include "direct/plans.h"

namespace convbwd::direct {

std::unique_ptr<Plan> few_channels(const Problem& problem, Pass pass, const PlanOptions& options) {
  return pass == Pass::data ? few_channels_data(problem, options.threads, options.layout)
                            : few_channels_weights(problem, options.threads);
}

}  // namespace convbwd::direct
