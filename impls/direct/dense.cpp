// SPDX-License-Identifier: Apache-2.0
#include "direct/dense.h"

#include "direct/plans.h"

namespace convbwd::direct {

std::unique_ptr<Plan> dense(const Problem& problem, Pass pass, const PlanOptions& options) {
  return pass == Pass::data ? dense_data(problem, options.threads, options.layout)
                            : dense_weights(problem, options.threads, options.layout);
}

}  // namespace convbwd::direct
