// SPDX-License-Identifier: Apache-2.0
#include "core/accuracy.h"

#include <algorithm>
#include <cmath>
#include <optional>

namespace convbwd {
namespace {

constexpr double kUnitRoundoff = 0x1p-24;
// Where a result underflows its error is absolute: half the smallest float, times the constants that it is multiplied
// with afterwards, whose products stay below this.
constexpr double kUnderflow = 0x1p-149 * 256;

/// What the algorithm computes from absolute values.
Session magnitudes(const Implementation& implementation, const Session& of, const Reference& reference) {
  Session session(implementation, of.problem(), of.pass(), of.options());
  reference.load(session);
  for (Role role : inputs_of(of.pass())) {
    const View4<float> view = session.input(role);
    std::for_each(view.data, view.data + view.size(), [](float& value) { value = std::abs(value); });
  }
  session.prepare();
  session.execute();
  return session;
}

}  // namespace

Accuracy accuracy_of(Session& session, const Reference& reference) {
  const Implementation& implementation = session.implementation();
  const double terms = static_cast<double>(session.problem().terms(session.pass()));
  const double roundings =
      implementation.roundings ? implementation.roundings(session.problem(), session.pass()) : terms + 1;
  const double unit = roundings * kUnitRoundoff / (1 - roundings * kUnitRoundoff);

  Implementation absolute = implementation;
  absolute.plan = implementation.magnitudes;
  std::optional<Session> magnitude;
  View4<const float> magnitude_of;
  if (implementation.magnitudes) {
    magnitude.emplace(magnitudes(absolute, session, reference));
    magnitude_of = magnitude->output();
  }

  const View4<const float> gradient = session.output();
  double squares = 0, errors = 0, bounds = 0;
  Accuracy accuracy;
  for (const auto& [at, value, magnitude_of_sum] : reference.elements()) {
    const auto [a, b, c, d] = at;
    const double error = std::abs(static_cast<double>(gradient(a, b, c, d)) - value);
    // The magnitudes are rounded themselves, by as much at most.
    const double bound = unit * (implementation.magnitudes ? static_cast<double>(magnitude_of(a, b, c, d)) * (1 + unit)
                                                           : magnitude_of_sum) +
                         roundings * terms * kUnderflow;
    squares += value * value;
    errors += error * error;
    bounds += bound * bound;
    accuracy.worst = std::max(accuracy.worst, error / bound);
  }
  accuracy.error = std::sqrt(errors / squares);
  accuracy.bound = std::sqrt(bounds / squares);
  return accuracy;
}

}  // namespace convbwd
