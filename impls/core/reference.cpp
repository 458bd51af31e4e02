// SPDX-License-Identifier: Apache-2.0
#include "core/reference.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <sstream>

#include "core/definition.h"
#include "core/random.h"

namespace convbwd {
namespace {

struct SumAndMagnitude {
  double value = 0, magnitude = 0;
  void add(double a, double b) {
    value += a * b;
    magnitude += std::abs(a * b);
  }
};

std::array<Dim, 4> unravel(Dim linear, const std::array<Dim, 4>& extent) {
  std::array<Dim, 4> at;
  for (int axis = 3; axis >= 0; --axis) {
    at[static_cast<std::size_t>(axis)] = linear % extent[static_cast<std::size_t>(axis)];
    linear /= extent[static_cast<std::size_t>(axis)];
  }
  return at;
}

/// All elements, or the 16 corners and a random sample of the rest.
std::vector<std::array<Dim, 4>> choose(const std::array<Dim, 4>& extent, bool full, std::uint64_t seed) {
  const Dim size = extent[0] * extent[1] * extent[2] * extent[3];
  std::vector<std::array<Dim, 4>> chosen;
  if (full || size <= kSampledElements) {
    for (Dim i = 0; i < size; ++i) chosen.push_back(unravel(i, extent));
    return chosen;
  }
  for (unsigned corner = 0; corner < 16; ++corner) {
    std::array<Dim, 4> at;
    for (unsigned axis = 0; axis < 4; ++axis) at[axis] = corner >> axis & 1 ? extent[axis] - 1 : 0;
    chosen.push_back(at);
  }
  for (std::uint64_t i = 0; chosen.size() < static_cast<std::size_t>(kSampledElements); ++i)
    chosen.push_back(unravel(static_cast<Dim>(random_bits(seed, i) % static_cast<std::uint64_t>(size)), extent));
  return chosen;
}

/// The first element that is not finite, or not a whole number that a sum in integers can hold.
std::optional<std::array<Dim, 4>> first_unfit(View4<const float> gradient, bool must_be_whole) {
  const auto fit = [must_be_whole](float value) {
    return std::abs(value) <= (must_be_whole ? 0x1p53f : std::numeric_limits<float>::max()) &&
           (!must_be_whole || value == std::trunc(value));
  };
  const auto extent = gradient.extent;
  Dim first = gradient.size();
#pragma omp parallel for collapse(2) reduction(min : first) schedule(static)
  for (Dim a = 0; a < extent[0]; ++a)
    for (Dim b = 0; b < extent[1]; ++b)
      for (Dim c = 0; c < extent[2]; ++c)
        for (Dim d = 0; d < extent[3]; ++d)
          if (!fit(gradient(a, b, c, d)))
            first = std::min(first, ((a * extent[1] + b) * extent[2] + c) * extent[3] + d);
  if (first == gradient.size()) return std::nullopt;
  return unravel(first, extent);
}

}  // namespace

Reference::Reference(const Problem& problem, Pass pass, Data data, double growth, std::uint64_t seed)
    : problem_(problem),
      pass_(pass),
      inputs_(make_inputs(problem, pass, data, growth, seed)),
      full_(problem.macs() <= kMostMacsInFull) {
  const auto chosen = choose(problem.shape(output_of(pass)), full_, seed ^ 0xE1E3);
  elements_.resize(chosen.size());
  const auto dy = inputs_.view(problem, Role::dy), other = inputs_.view(problem, inputs_of(pass)[1]);
#pragma omp parallel for schedule(dynamic, 16)
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    const auto sum = gradient_at<SumAndMagnitude>(problem_, pass_, dy, other, chosen[i]);
    elements_[i] = {chosen[i], sum.value, sum.magnitude};
  }
  for (int i = 0; i < kProbes; ++i) {
    const auto probe_seed = seed * kProbes + static_cast<std::uint64_t>(i);
    if (inputs_.exact) {
      exact_probes_.push_back(make_probe<std::uint64_t>(problem, pass, probe_seed));
      exact_expected_.push_back(expected_of(problem, pass, inputs_, exact_probes_.back()));
    }
    real_probes_.push_back(make_probe<double>(problem, pass, probe_seed));
    real_expected_.push_back(expected_of(problem, pass, inputs_, real_probes_.back()));
  }
  total_magnitude_ = expected_of(problem, pass, inputs_, ones(problem, pass), /*magnitude=*/true);
  channel_bounds_ = magnitude_bounds(problem, pass, inputs_);
}

void Reference::load(Session& session) const {
  for (Role role : inputs_of(pass_)) copy(inputs_.view(problem_, role), session.input(role));
}

Verdict Reference::judge(View4<const float> gradient, const Implementation& implementation) const {
  Verdict verdict;
  judge_elements(gradient, implementation, verdict);
  if (verdict) judge_probes(gradient, implementation, verdict);
  return verdict;
}

double Reference::unit(const Implementation& implementation) const {
  const double growth = implementation.mixes_outputs ? 1 : std::sqrt(static_cast<double>(problem_.terms(pass_)));
  return implementation.error_constant * kEpsilon * growth;
}

double Reference::magnitude(const Element& element, const Implementation& implementation) const {
  if (!implementation.mixes_outputs) return element.magnitude;
  return channel_bounds_[static_cast<std::size_t>(element.at[pass_ == Pass::data ? 1 : 0])];
}

double Reference::total_magnitude(const Implementation& implementation) const {
  if (!implementation.mixes_outputs) return total_magnitude_;
  const double elements_a_channel =
      static_cast<double>(problem_.elements(output_of(pass_))) / static_cast<double>(channel_bounds_.size());
  return elements_a_channel * std::accumulate(channel_bounds_.begin(), channel_bounds_.end(), 0.0);
}

void Reference::judge_elements(View4<const float> gradient, const Implementation& implementation,
                               Verdict& verdict) const {
  const double tolerance = exact(implementation) ? 0 : unit(implementation);
  verdict.checked = static_cast<Dim>(elements_.size());
  for (const Element& element : elements_) {
    const auto [a, b, c, d] = element.at;
    const float got = gradient(a, b, c, d);
    // A whole number is exact in float here; a real one may lose half a unit when it is stored.
    const double allowed = tolerance * magnitude(element, implementation);
    const double error = std::abs(static_cast<double>(got) - element.value);
    if (allowed > 0 && error <= allowed) verdict.error_ratio = std::max(verdict.error_ratio, error / allowed);
    if (error <= allowed) continue;
    if (verdict.failed++ == 0) {
      std::ostringstream message;
      message.precision(9);
      message << place(element.at) << " = " << got << ", expected " << element.value << " (allowed error " << allowed
              << ")";
      verdict.wrong = message.str();
      verdict.error_ratio = std::numeric_limits<double>::infinity();
    }
  }
  if (verdict.failed)
    verdict.wrong += "; " + std::to_string(verdict.failed) + " of " + std::to_string(verdict.checked) +
                     " elements checked are wrong";
}

void Reference::judge_probes(View4<const float> gradient, const Implementation& implementation,
                             Verdict& verdict) const {
  const bool whole = exact(implementation);
  if (const auto at = first_unfit(gradient, whole)) {
    const float got = gradient((*at)[0], (*at)[1], (*at)[2], (*at)[3]);
    verdict.wrong =
        place(*at) + " = " + std::to_string(got) + ", expected a " + (whole ? "whole" : "finite") + " number";
    verdict.failed = 1;
    return;
  }
  // Rounding errors of different elements are independent, so their sum grows as the root of their number; the factor
  // leaves room for elements of unequal magnitude.
  constexpr double kRoom = 8;
  const double elements = static_cast<double>(gradient.size());
  const double allowed = kRoom * unit(implementation) * total_magnitude(implementation) / std::sqrt(elements);
  for (std::size_t i = 0; i < kProbes; ++i) {
    double error = 0;
    const bool right =
        whole ? inner_product(problem_, pass_, gradient, exact_probes_[i]) == exact_expected_[i]
              : (error = std::abs(inner_product(problem_, pass_, gradient, real_probes_[i]) - real_expected_[i])) <=
                    allowed;
    if (right) continue;
    std::ostringstream message;
    message << "adjoint identity " << i + 1 << " of " << kProbes << " does not hold";
    if (!whole) message << ": off by " << error << " (allowed " << allowed << ")";
    message << "; some element outside the " << verdict.checked << " compared is wrong";
    verdict.wrong = message.str();
    verdict.failed = 1;
    return;
  }
}

std::string Reference::place(const std::array<Dim, 4>& at) const {
  std::string text(name(output_of(pass_)));
  for (std::size_t axis = 0; axis < 4; ++axis) text += (axis ? "," : "[") + std::to_string(at[axis]);
  return text + "]";
}

}  // namespace convbwd
