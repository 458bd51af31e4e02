// SPDX-License-Identifier: Apache-2.0
#include "core/problem.h"

#include <algorithm>

#include "core/ranges.h"

namespace convbwd {

std::string_view name(Pass pass) { return pass == Pass::data ? "data" : "weights"; }

std::string_view name(Role role) {
  constexpr std::array<std::string_view, kRoles> names{"x", "w", "dy", "dx", "dw"};
  return names[static_cast<std::size_t>(role)];
}

std::array<Dim, 4> Problem::shape(Role role) const {
  switch (role) {
    case Role::x:
    case Role::dx:
      return {N, C, H, W};
    case Role::w:
    case Role::dw:
      return {K, C_per_group(), R, S};
    case Role::dy:
      break;
  }
  return {N, K, P, Q};
}

Dim Problem::elements(Role role) const {
  const auto extent = shape(role);
  return extent[0] * extent[1] * extent[2] * extent[3];
}

Dim Problem::terms(Pass pass) const { return pass == Pass::data ? K_per_group() * R * S : N * P * Q; }

namespace {

/// Pairs (output position, tap) that fall inside an image of `extent` positions.
Dim taps_inside(Dim outputs, Dim taps, Dim stride, Dim dilation, Dim pad, Dim extent) {
  if (taps > outputs) return taps_inside(taps, outputs, dilation, stride, pad, extent);  // the pairs are symmetric
  Dim count = 0;
  for (Dim tap = 0; tap < taps; ++tap) {
    count += outputs_inside(extent, outputs, stride, tap * dilation - pad).size();
  }
  return count;
}

}  // namespace

double Problem::macs() const {
  return static_cast<double>(N * K) * static_cast<double>(C_per_group()) *
         static_cast<double>(taps_inside(P, R, stride_h, dilation_h, pad_top, H)) *
         static_cast<double>(taps_inside(Q, S, stride_w, dilation_w, pad_left, W));
}

double Problem::nominal_macs() const {
  return static_cast<double>(N * K) * static_cast<double>(C_per_group()) * static_cast<double>(R * S) *
         static_cast<double>(P * Q);
}

std::string fault_of(const Problem& problem) {
  struct Field {
    const char* name;
    Dim value;
    Dim least;
  };
  constexpr Dim kMost = Dim{1} << 31;
  for (const Field& field :
       {Field{"N (mb)", problem.N, 1}, Field{"G (g)", problem.G, 1}, Field{"C (ic)", problem.C, 1},
        Field{"H (ih)", problem.H, 1}, Field{"W (iw)", problem.W, 1}, Field{"K (oc)", problem.K, 1},
        Field{"R (kh)", problem.R, 1}, Field{"S (kw)", problem.S, 1}, Field{"P (oh)", problem.P, 1},
        Field{"Q (ow)", problem.Q, 1}, Field{"stride_h (sh)", problem.stride_h, 1},
        Field{"stride_w (sw)", problem.stride_w, 1}, Field{"dilation_h (dh + 1)", problem.dilation_h, 1},
        Field{"dilation_w (dw + 1)", problem.dilation_w, 1}, Field{"pad_top (ph)", problem.pad_top, 0},
        Field{"pad_left (pw)", problem.pad_left, 0}}) {
    if (field.value < field.least)
      return std::string(field.name) + " is " + std::to_string(field.value) + ", must be at least " +
             std::to_string(field.least);
    if (field.value >= kMost) return std::string(field.name) + " is " + std::to_string(field.value) + ", too large";
  }
  if (problem.C % problem.G) return "groups (g) " + std::to_string(problem.G) + " do not divide C (ic)";
  if (problem.K % problem.G) return "groups (g) " + std::to_string(problem.G) + " do not divide K (oc)";
  constexpr double kMostElements = 0x1p40;
  for (Role role : {Role::x, Role::w, Role::dy}) {
    double elements = 1;
    for (Dim extent : problem.shape(role)) elements *= static_cast<double>(extent);
    if (elements >= kMostElements) return "tensor " + std::string(name(role)) + " has 2^40 or more elements";
  }
  for (Dim reach : {problem.pad_bottom(), problem.pad_right()})
    if (reach >= kMost) return "the last window lies 2^31 or more beyond the image";
  // Copies with the pads, the strides' gaps or the dilated filter written out are no larger than this.
  const Dim rows = problem.H + problem.pad_top + std::max<Dim>(problem.pad_bottom(), 0);
  const Dim columns = problem.W + problem.pad_left + std::max<Dim>(problem.pad_right(), 0);
  const double planes = static_cast<double>(problem.N) * static_cast<double>(std::max(problem.C, problem.K));
  if (planes * static_cast<double>(rows) * static_cast<double>(columns) >= kMostElements)
    return "with its pads the image has 2^40 or more elements";
  return {};
}

}  // namespace convbwd
