// SPDX-License-Identifier: Apache-2.0
#include "direct/dense.h"

#include "direct/plans.h"

namespace convbwd::direct {

std::unique_ptr<Plan> dense(const Problem& problem, Pass pass, int threads) {
  return pass == Pass::data ? dense_data(problem, threads) : dense_weights(problem, threads);
}

}  // namespace convbwd::direct
