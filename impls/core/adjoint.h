// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "core/data.h"
#include "core/problem.h"
#include "core/tensor.h"

namespace convbwd {

// The adjoint identities
//     <dx, x'> = <dy, conv(x', w)>     and     <dw, w'> = <dy, conv(x, w')>
// hold for every x' and w', so a random one (a probe) tests all elements of a gradient with a single number, at sizes
// where the definition cannot be computed. Our probes are outer products of three random vectors,
//     x'[n,c,h,w] = u[n] v[c] e[h,w]        w'[k,c,r,s] = u[k] v[group(k), c] e[r,s],
// so the right-hand side collapses to sums over one axis at a time and costs about one pass over the tensors.
//
// On whole numbers everything is computed modulo 2^64 with odd random factors, exactly: a gradient with any one wrong
// element is always caught, one with several escapes with a chance of the order of 2^-60 (the idea of Freivalds' check
// of a matrix product). On real numbers factors are +1 and -1 and the sums are in double.

/// The three vectors of a probe; Number is std::uint64_t or double.
template <class Number>
struct Probe {
  std::vector<Number> u, v, e;
};

template <class Number>
Probe<Number> make_probe(const Problem& problem, Pass pass, std::uint64_t seed);

/// The probe of ones, for the size that errors are to be compared with.
Probe<double> ones(const Problem& problem, Pass pass);

/// Right-hand side, from the inputs alone. `magnitude`: of the absolute values of the inputs.
template <class Number>
Number expected_of(const Problem& problem, Pass pass, const Inputs& inputs, const Probe<Number>& probe,
                   bool magnitude = false);

/// Left-hand side, from the gradient that is to be proved.
template <class Number>
Number inner_product(const Problem& problem, Pass pass, View4<const float> gradient, const Probe<Number>& probe);

}  // namespace convbwd
