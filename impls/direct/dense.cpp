// SPDX-License-Identifier: Apache-2.0
#include "direct/dense.h"

#include "core/joined_rows.h"
#include "core/simd.h"
#include "direct/plans.h"

namespace convbwd::direct {

std::unique_ptr<Plan> dense(const Problem& problem, Pass pass, const PlanOptions& options) {
  // Images of fewer pixels would leave lanes empty.
  if (pass == Pass::data && options.layout == Layout::nchw && is_pointwise(problem) &&
      problem.H * problem.W >= 4 * simd::kWidth)
    return pointwise_data(problem, options.threads);
  return pass == Pass::data ? dense_data(problem, options.threads, options.layout)
                            : dense_weights(problem, options.threads, options.layout);
}

}  // namespace convbwd::direct
