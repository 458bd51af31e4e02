// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "core/adjoint.h"
#include "core/data.h"
#include "core/implementation.h"
#include "core/session.h"

namespace convbwd {

/// Above this many multiply-adds a gradient is proved by the adjoint identities and a sample of its elements.
inline constexpr double kMostMacsInFull = 2e8;
inline constexpr Dim kSampledElements = 4096;
inline constexpr int kProbes = 4;

/// The rounding unit of every bound:  error <= error_constant * kEpsilon * sqrt(terms) * sum |a*b|; see
/// Implementation::mixes_outputs for those without the root.
inline constexpr double kEpsilon = std::numeric_limits<float>::epsilon();

/// What came out of a comparison.
struct Verdict {
  std::string wrong;       // empty: right. Otherwise the first wrong element: index, value, expected, and how many
  double error_ratio = 0;  // largest error / allowed error; 0 where equality was asked for and found
  Dim checked = 0;         // elements compared one by one
  Dim failed = 0;

  explicit operator bool() const { return wrong.empty(); }
};

/// The right answer for one problem and one set of inputs: every element for small problems, otherwise a random sample
/// with all corners, plus adjoint probes, which see every element. Computed once, used to judge any number of
/// contenders.
class Reference {
 public:
  Reference(const Problem& problem, Pass pass, Data data, double growth, std::uint64_t seed);

  /// Copies the inputs into a session.
  void load(Session& session) const;

  /// Compares a gradient. Whole numbers must be equal wherever the implementation is exact on them.
  Verdict judge(View4<const float> gradient, const Implementation& implementation) const;

  /// The elements that are compared one by one, and what they should be; `magnitude` is sum |a*b|.
  struct Element {
    std::array<Dim, 4> at;
    double value, magnitude;
  };
  const std::vector<Element>& elements() const { return elements_; }

  const Inputs& inputs() const { return inputs_; }
  bool full() const { return full_; }

 private:
  /// The error allowed per unit of magnitude; and what the error of an element, and of the sum of all elements, is
  /// measured by.
  double unit(const Implementation& implementation) const;
  double magnitude(const Element& element, const Implementation& implementation) const;
  double total_magnitude(const Implementation& implementation) const;
  void judge_elements(View4<const float> gradient, const Implementation& implementation, Verdict& verdict) const;
  void judge_probes(View4<const float> gradient, const Implementation& implementation, Verdict& verdict) const;
  bool exact(const Implementation& implementation) const { return inputs_.exact && implementation.exact_on_integers; }
  std::string place(const std::array<Dim, 4>& at) const;

  Problem problem_;
  Pass pass_;
  Inputs inputs_;
  bool full_;
  std::vector<Element> elements_;
  std::vector<Probe<std::uint64_t>> exact_probes_;
  std::vector<std::uint64_t> exact_expected_;
  std::vector<Probe<double>> real_probes_;
  std::vector<double> real_expected_;
  double total_magnitude_ = 0;
  std::vector<double> channel_bounds_;
};

}  // namespace convbwd
