// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/reference.h"
#include "core/session.h"

namespace convbwd {

/// How far a gradient is from the truth, and how far it could be: root mean squares over the elements that a reference
/// compares, divided by that of the right values.
///
/// The bound is a running error analysis (N. Higham, Accuracy and Stability of Numerical Algorithms, 2002, ch. 3): with
/// L roundings on the way from an input to a result, the error is at most L u / (1 - L u), u = 2^-24, times what the
/// same algorithm computes from the absolute values of its inputs and of its constants. For sums of the definition's
/// products that is sum |a*b|; Winograd's is larger, for its intermediates are. It holds for all data: no constant is
/// measured.
struct Accuracy {
  double error = 0, bound = 0;
  double worst = 0;  // error / bound of the worst element
};

/// Of the gradient that `session` has computed from the reference's inputs.
Accuracy accuracy_of(Session& session, const Reference& reference);

}  // namespace convbwd
