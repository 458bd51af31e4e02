// SPDX-License-Identifier: Apache-2.0
#include "core/adjoint.h"

#include <cmath>

#include "core/random.h"

namespace convbwd {
namespace {

// A whole number held in a float, in arithmetic modulo 2^64.
void take(float value, std::uint64_t& number) { number = static_cast<std::uint64_t>(static_cast<std::int64_t>(value)); }
void take(float value, double& number) { number = value; }

void draw(std::uint64_t bits, std::uint64_t& number) { number = bits | 1; }
void draw(std::uint64_t bits, double& number) { number = bits >> 63 ? 1 : -1; }

template <class Number>
Number number_of(float value) {
  Number number;
  take(value, number);
  return number;
}

template <class Number>
using Array = std::vector<Number>;

std::size_t at(Dim index) { return static_cast<std::size_t>(index); }

}  // namespace

template <class Number>
Probe<Number> make_probe(const Problem& problem, Pass pass, std::uint64_t seed) {
  const auto extent = problem.shape(output_of(pass));
  Probe<Number> probe{Array<Number>(at(extent[0])), Array<Number>(at(problem.C)),
                      Array<Number>(at(extent[2] * extent[3]))};
  std::uint64_t index = 0;
  for (auto* vector : {&probe.u, &probe.v, &probe.e})
    for (Number& number : *vector) draw(random_bits(seed, index++), number);
  return probe;
}

Probe<double> ones(const Problem& problem, Pass pass) {
  Probe<double> probe = make_probe<double>(problem, pass, 0);
  for (auto* vector : {&probe.u, &probe.v, &probe.e})
    for (double& number : *vector) number = 1;
  return probe;
}

namespace {

/// <dy, conv(x', w)>: dy contracted over n with u, w over c with v, then one convolution with e per filter.
template <class Number, class Value>
Number expected_data(const Problem& problem, View4<const float> dy, View4<const float> w, const Probe<Number>& probe,
                     Value value) {
  const Dim cells = problem.P * problem.Q, taps = problem.R * problem.S;
  Number total = 0;
#pragma omp parallel for reduction(+ : total) schedule(static)
  for (Dim k = 0; k < problem.K; ++k) {
    Array<Number> dy_u(at(cells)), w_v(at(taps));
    for (Dim n = 0; n < problem.N; ++n)
      for (Dim i = 0; i < cells; ++i) dy_u[at(i)] += probe.u[at(n)] * value(dy(n, k, i / problem.Q, i % problem.Q));
    const Dim first = k / problem.K_per_group() * problem.C_per_group();
    for (Dim c = 0; c < problem.C_per_group(); ++c)
      for (Dim i = 0; i < taps; ++i)
        w_v[at(i)] += probe.v[at(first + c)] * value(w(k, c, i / problem.S, i % problem.S));
    for (Dim r = 0; r < problem.R; ++r)
      for (Dim s = 0; s < problem.S; ++s)
        for (Dim p = 0; p < problem.P; ++p) {
          const Dim h = problem.h_of(p, r);
          if (h < 0 || h >= problem.H) continue;
          Number row = 0;
          for (Dim q = 0; q < problem.Q; ++q) {
            const Dim wide = problem.w_of(q, s);
            if (wide >= 0 && wide < problem.W) row += dy_u[at(p * problem.Q + q)] * probe.e[at(h * problem.W + wide)];
          }
          total += row * w_v[at(r * problem.S + s)];
        }
  }
  return total;
}

/// <dy, conv(x, w')>: in each image and group dy contracted over k with u, x over c with v, then one convolution with
/// e.
template <class Number, class Value>
Number expected_weights(const Problem& problem, View4<const float> dy, View4<const float> x, const Probe<Number>& probe,
                        Value value) {
  const Dim cells = problem.P * problem.Q, pixels = problem.H * problem.W;
  Number total = 0;
#pragma omp parallel for collapse(2) reduction(+ : total) schedule(static)
  for (Dim n = 0; n < problem.N; ++n)
    for (Dim group = 0; group < problem.G; ++group) {
      Array<Number> dy_u(at(cells)), x_v(at(pixels));
      for (Dim k = group * problem.K_per_group(); k < (group + 1) * problem.K_per_group(); ++k)
        for (Dim i = 0; i < cells; ++i) dy_u[at(i)] += probe.u[at(k)] * value(dy(n, k, i / problem.Q, i % problem.Q));
      for (Dim c = group * problem.C_per_group(); c < (group + 1) * problem.C_per_group(); ++c)
        for (Dim i = 0; i < pixels; ++i) x_v[at(i)] += probe.v[at(c)] * value(x(n, c, i / problem.W, i % problem.W));
      for (Dim r = 0; r < problem.R; ++r)
        for (Dim s = 0; s < problem.S; ++s) {
          Number plane = 0;
          for (Dim p = 0; p < problem.P; ++p) {
            const Dim h = problem.h_of(p, r);
            if (h < 0 || h >= problem.H) continue;
            for (Dim q = 0; q < problem.Q; ++q) {
              const Dim wide = problem.w_of(q, s);
              if (wide >= 0 && wide < problem.W) plane += dy_u[at(p * problem.Q + q)] * x_v[at(h * problem.W + wide)];
            }
          }
          total += plane * probe.e[at(r * problem.S + s)];
        }
    }
  return total;
}

}  // namespace

template <class Number>
Number expected_of(const Problem& problem, Pass pass, const Inputs& inputs, const Probe<Number>& probe,
                   bool magnitude) {
  const auto value = [magnitude](float a) { return number_of<Number>(magnitude ? std::abs(a) : a); };
  const auto dy = inputs.view(problem, Role::dy), other = inputs.view(problem, inputs_of(pass)[1]);
  return pass == Pass::data ? expected_data(problem, dy, other, probe, value)
                            : expected_weights(problem, dy, other, probe, value);
}

template <class Number>
Number inner_product(const Problem& problem, Pass pass, View4<const float> gradient, const Probe<Number>& probe) {
  const auto extent = gradient.extent;
  Number total = 0;
#pragma omp parallel for collapse(2) reduction(+ : total) schedule(static)
  for (Dim a = 0; a < extent[0]; ++a)
    for (Dim b = 0; b < extent[1]; ++b) {
      const Dim first = pass == Pass::data ? 0 : a / problem.K_per_group() * problem.C_per_group();
      Number plane = 0;
      for (Dim c = 0; c < extent[2]; ++c)
        for (Dim d = 0; d < extent[3]; ++d)
          plane += number_of<Number>(gradient(a, b, c, d)) * probe.e[at(c * extent[3] + d)];
      total += plane * probe.u[at(a)] * probe.v[at(first + b)];
    }
  return total;
}

template Probe<std::uint64_t> make_probe(const Problem&, Pass, std::uint64_t);
template Probe<double> make_probe(const Problem&, Pass, std::uint64_t);
template std::uint64_t expected_of(const Problem&, Pass, const Inputs&, const Probe<std::uint64_t>&, bool);
template double expected_of(const Problem&, Pass, const Inputs&, const Probe<double>&, bool);
template std::uint64_t inner_product(const Problem&, Pass, View4<const float>, const Probe<std::uint64_t>&);
template double inner_product(const Problem&, Pass, View4<const float>, const Probe<double>&);

}  // namespace convbwd
