// SPDX-License-Identifier: Apache-2.0
#include "direct/across_groups.h"

#include "direct/plans.h"

namespace convbwd::direct {

std::unique_ptr<Plan> across_groups(const Problem& problem, Pass pass, int threads) {
  return pass == Pass::data ? data_across_groups(problem, threads) : weights_across_groups(problem, threads);
}

}  // namespace convbwd::direct
