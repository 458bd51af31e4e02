// SPDX-License-Identifier: Apache-2.0
#include "core/data.h"

#include <algorithm>
#include <cmath>

#include "core/random.h"

namespace convbwd {
namespace {

/// Whole numbers in [-reach, reach], of which `kept` in 256 are not zeroed.
struct Thinning {
  int reach;
  std::uint64_t kept;
};
constexpr Thinning kThinnings[] = {{4, 256}, {2, 256}, {1, 256}, {1, 64}, {1, 16}, {1, 4}, {1, 1}};

float integer(std::uint64_t bits, Thinning thinning) {
  const std::uint64_t span = 2 * static_cast<std::uint64_t>(thinning.reach) + 1;
  if ((bits & 0xFF) >= thinning.kept) return 0;
  return static_cast<float>(static_cast<int>((bits >> 8) % span) - thinning.reach);
}

/// Sum of four uniform 16-bit numbers, centred and scaled to variance 1: normal enough, and fast.
float normal(std::uint64_t bits) {
  constexpr double kScale = 1.7320508075688772 / 65536;  // sqrt(12 / 4) / 2^16
  double sum = -2.0 * 65535;
  for (int piece = 0; piece < 4; ++piece) sum += static_cast<double>((bits >> (16 * piece)) & 0xFFFF);
  return static_cast<float>(sum * kScale);
}

/// A real number of this kind.
float real(Data data, std::uint64_t bits) {
  const float value = normal(bits);
  const std::uint64_t more = random_bits(bits, 0);
  switch (data) {
    case Data::rectified:
      return std::max(value, 0.0f);
    case Data::wide:
      return std::ldexp(value, static_cast<int>(more % 25) - 12);
    case Data::cancelling:
      return (more % 2 ? 1000.0f : -1000.0f) + value;
    case Data::denormal:
      return std::ldexp(value, -128);
    default:
      return value;
  }
}

template <class Value>
std::vector<float> fill(Dim elements, std::uint64_t seed, Value value) {
  std::vector<float> tensor(static_cast<std::size_t>(elements));
#pragma omp parallel for schedule(static)
  for (Dim i = 0; i < elements; ++i)
    tensor[static_cast<std::size_t>(i)] = value(random_bits(seed, static_cast<std::uint64_t>(i)));
  return tensor;
}

double largest(const std::vector<float>& tensor) {
  float most = 0;
  for (float value : tensor) most = std::max(most, std::abs(value));
  return most;
}

}  // namespace

View4<const float> Inputs::view(const Problem& problem, Role role) const {
  return plain_view((role == Role::dy ? dy : other).data(), problem, role, Layout::nchw);
}

std::vector<double> magnitude_bounds(const Problem& problem, Pass pass, const Inputs& inputs) {
  // An element of dx sums over the weights of its channel c, an element of dw over the dy of its channel k: the sum of
  // those |values|, times the largest |value| of the other tensor, is not exceeded.
  const bool data = pass == Pass::data;
  const auto view = inputs.view(problem, data ? Role::w : Role::dy);
  const double other = largest(data ? inputs.dy : inputs.other);
  std::vector<double> bounds(static_cast<std::size_t>(data ? problem.C : problem.K));
  for (Dim a = 0; a < view.extent[0]; ++a)
    for (Dim b = 0; b < view.extent[1]; ++b) {
      double& bound = bounds[static_cast<std::size_t>(data ? a / problem.K_per_group() * view.extent[1] + b : b)];
      for (Dim c = 0; c < view.extent[2]; ++c)
        for (Dim d = 0; d < view.extent[3]; ++d) bound += std::abs(view(a, b, c, d)) * other;
    }
  return bounds;
}

double magnitude_bound(const Problem& problem, Pass pass, const Inputs& inputs) {
  const std::vector<double> bounds = magnitude_bounds(problem, pass, inputs);
  return *std::max_element(bounds.begin(), bounds.end());
}

Inputs make_inputs(const Problem& problem, Pass pass, Data data, double growth, std::uint64_t seed) {
  const Role other = inputs_of(pass)[1];
  const auto make = [&](auto value) {
    return Inputs{fill(problem.elements(Role::dy), 2 * seed, value),
                  fill(problem.elements(other), 2 * seed + 1, value)};
  };
  if (data != Data::integers) return make([data](std::uint64_t bits) { return real(data, bits); });
  Inputs inputs;
  for (Thinning thinning : kThinnings) {
    inputs = make([thinning](std::uint64_t bits) { return integer(bits, thinning); });
    inputs.exact = growth * magnitude_bound(problem, pass, inputs) <= 0x1p24;
    if (inputs.exact) break;
  }
  return inputs;
}

void copy(View4<const float> from, View4<float> to) {
  const auto extent = to.extent;
#pragma omp parallel for collapse(2) schedule(static)
  for (Dim a = 0; a < extent[0]; ++a)
    for (Dim b = 0; b < extent[1]; ++b)
      for (Dim c = 0; c < extent[2]; ++c)
        for (Dim d = 0; d < extent[3]; ++d) to(a, b, c, d) = from(a, b, c, d);
}

}  // namespace convbwd
