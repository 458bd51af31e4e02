// SPDX-License-Identifier: Apache-2.0
#include "support/derivation.h"

#include <algorithm>
#include <cstdio>
#include <map>

#include "core/definition.h"

namespace convbwd::support {
namespace {

/// An element of x, w or dy.
struct Symbol {
  Role role;
  std::array<Dim, 4> at;
  auto operator<=>(const Symbol&) const = default;
};

/// What the definition's loops add up.
struct SymbolicSum {
  std::vector<std::pair<Symbol, Symbol>> terms;
  void add(const Symbol& a, const Symbol& b) { terms.emplace_back(a, b); }
};

/// A tensor whose every element is its own name.
class Symbols {
 public:
  Symbols(const Problem& problem, Role role) : extent_(problem.shape(role)) {
    for (Dim a = 0; a < extent_[0]; ++a)
      for (Dim b = 0; b < extent_[1]; ++b)
        for (Dim c = 0; c < extent_[2]; ++c)
          for (Dim d = 0; d < extent_[3]; ++d) all_.push_back({role, {a, b, c, d}});
  }
  View4<const Symbol> view() const { return {all_.data(), extent_, plain_strides(extent_, Layout::nchw)}; }
  const std::vector<Symbol>& all() const { return all_; }

 private:
  std::array<Dim, 4> extent_;
  std::vector<Symbol> all_;
};

/// Spells symbols: X12, or X[1,1,1,2] if any of the layer's tensors needs it.
class Speller {
 public:
  explicit Speller(const Problem& problem) {
    for (Role role : {Role::x, Role::w, Role::dy}) {
      const auto [a, b, rows, columns] = problem.shape(role);
      short_ = short_ && a == 1 && b == 1 && rows <= 9 && columns <= 9;
    }
  }
  bool is_short() const { return short_; }

  /// X12, F12, O12
  std::string element(const Symbol& symbol) const {
    const auto [a, b, row, column] = symbol.at;
    const auto index = [](Dim value) { return std::to_string(value + 1); };
    const std::string letter = symbol.role == Role::x ? "X" : symbol.role == Role::w ? "F" : "O";
    if (short_) return letter + index(row) + index(column);
    return letter + "[" + index(a) + "," + index(b) + "," + index(row) + "," + index(column) + "]";
  }
  /// X12, F12, ∂L/∂O12: what the backward pass reads
  std::string read(const Symbol& symbol) const { return (symbol.role == Role::dy ? "∂L/∂" : "") + element(symbol); }
  std::string sum(const std::vector<std::pair<Symbol, Symbol>>& terms) const {
    std::string text;
    for (const auto& [a, b] : terms) text += (text.empty() ? "" : " + ") + read(a) + "·" + read(b);
    return text.empty() ? "0" : text;
  }

 private:
  bool short_ = true;
};

/// The gradient's sums in the order of their output's indices, terms in the order of the output gradient's.
std::vector<std::pair<Symbol, SymbolicSum>> sums_of(const Problem& problem, Pass pass) {
  const Role other = inputs_of(pass)[1];
  const Symbols dy(problem, Role::dy), factors(problem, other);
  std::vector<std::pair<Symbol, SymbolicSum>> sums;
  const Role written = pass == Pass::data ? Role::x : Role::w;
  gradient<SymbolicSum>(problem, pass, dy.view(), factors.view(), [&](const auto& at, SymbolicSum sum) {
    std::sort(sum.terms.begin(), sum.terms.end());
    sums.push_back({{written, at}, std::move(sum)});
  });
  return sums;
}

/// The forward sums, read off the weight gradient's: dy * x in dw[i] means that y is a sum with x * w[i].
std::map<Symbol, SymbolicSum> forward_sums(const Problem& problem) {
  std::map<Symbol, SymbolicSum> outputs;
  const Symbols y(problem, Role::dy);
  for (const Symbol& element : y.all()) outputs[element];
  for (const auto& [w, sum] : sums_of(problem, Pass::weights))
    for (const auto& [dy, x] : sum.terms) outputs[dy].add(x, w);
  return outputs;
}

Plane plane(const Problem& problem, Role role, Dim a, Dim b) {
  const Speller speller(problem);
  const auto extent = problem.shape(role);
  Plane names(static_cast<std::size_t>(extent[2]));
  for (Dim row = 0; row < extent[2]; ++row)
    for (Dim column = 0; column < extent[3]; ++column)
      names[static_cast<std::size_t>(row)].push_back(speller.read({role, {a, b, row, column}}));
  return names;
}

Plane zeros(Dim rows, Dim columns) {
  return Plane(static_cast<std::size_t>(rows), std::vector<std::string>(static_cast<std::size_t>(columns), "0"));
}

/// Zeros between neighbours, so that they are `by_row` and `by_column` apart.
Plane spread(const Plane& names, Dim by_row, Dim by_column) {
  const Dim rows = static_cast<Dim>(names.size()), columns = static_cast<Dim>(names[0].size());
  Plane wide = zeros((rows - 1) * by_row + 1, (columns - 1) * by_column + 1);
  for (Dim row = 0; row < rows; ++row)
    for (Dim column = 0; column < columns; ++column)
      wide[static_cast<std::size_t>(row * by_row)][static_cast<std::size_t>(column * by_column)] =
          names[static_cast<std::size_t>(row)][static_cast<std::size_t>(column)];
  return wide;
}

/// A frame of zeros; where it is negative, rows and columns are cut off.
Plane framed(const Plane& names, Dim top, Dim left, Dim bottom, Dim right) {
  const Dim rows = static_cast<Dim>(names.size()), columns = static_cast<Dim>(names[0].size());
  Plane whole = zeros(rows + top + bottom, columns + left + right);
  for (Dim row = std::max<Dim>(0, -top); row < rows + std::min<Dim>(0, bottom); ++row)
    for (Dim column = std::max<Dim>(0, -left); column < columns + std::min<Dim>(0, right); ++column)
      whole[static_cast<std::size_t>(row + top)][static_cast<std::size_t>(column + left)] =
          names[static_cast<std::size_t>(row)][static_cast<std::size_t>(column)];
  return whole;
}

/// Characters as a terminal counts them: bytes that do not continue a UTF-8 sequence.
std::size_t width_of(const std::string& text) {
  return static_cast<std::size_t>(std::count_if(
      text.begin(), text.end(), [](char byte) { return (static_cast<unsigned char>(byte) & 0xC0) != 0x80; }));
}

std::string picture(const std::string& title, const Plane& names) {
  std::size_t width = 0;
  for (const auto& row : names)
    for (const std::string& name : row) width = std::max(width, width_of(name));
  std::string text = "    " + title + ":\n";
  for (const auto& row : names) {
    std::string line = "       ";
    for (const std::string& name : row) line += " " + name + std::string(width - width_of(name), ' ');
    text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  return text;
}

std::string pair_of(Dim height, Dim width) { return std::to_string(height) + "x" + std::to_string(width); }

std::string heading(const Problem& problem, const Speller& speller) {
  std::string text = "X is " + pair_of(problem.H, problem.W) + ", F is " + pair_of(problem.R, problem.S) + ", O is " +
                     pair_of(problem.P, problem.Q) + "; stride " + pair_of(problem.stride_h, problem.stride_w) +
                     ", dilation " + pair_of(problem.dilation_h, problem.dilation_w) + ", padding " +
                     std::to_string(problem.pad_top) + " above, " + std::to_string(problem.pad_bottom()) + " below, " +
                     std::to_string(problem.pad_left) + " left, " + std::to_string(problem.pad_right()) + " right";
  if (speller.is_short()) return text + ".\nX12 is row 1, column 2.\n";
  return text + ";\nbatch " + std::to_string(problem.N) + ", channels " + std::to_string(problem.C) + ", filters " +
         std::to_string(problem.K) + ", groups " + std::to_string(problem.G) +
         ".\nIndices count from 1: X[n,c,h,w], F[k,c,r,s] with c inside the group of k, O[n,k,p,q].\n";
}

std::string local_gradients(const std::map<Symbol, SymbolicSum>& forward, const Speller& speller) {
  std::string text = "\nLocal gradients; all others are 0\n\n";
  for (const bool of_filter : {true, false})
    for (const auto& [y, sum] : forward) {
      auto terms = sum.terms;
      if (!of_filter) std::sort(terms.begin(), terms.end());
      std::string line;
      for (const auto& [x, w] : terms)
        line += (line.empty() ? "    ∂" : "   ∂") + speller.element(y) + "/∂" + speller.element(of_filter ? w : x) +
                " = " + speller.element(of_filter ? x : w);
      if (!line.empty()) text += line + "\n";
    }
  return text;
}

std::string chain_rule(const Problem& problem, Pass pass, const Speller& speller) {
  const std::string wanted = pass == Pass::data ? "X" : "F";
  std::string text = std::string("\nChain rule, ") + (pass == Pass::data ? "input" : "filter") + ": ∂L/∂" + wanted +
                     "_i = Σ_k ∂L/∂O_k · ∂O_k/∂" + wanted + "_i\n\n";
  for (const auto& [element, sum] : sums_of(problem, pass))
    text += "    ∂L/∂" + speller.element(element) + " = " + speller.sum(sum.terms) + "\n";
  return text;
}

/// " of image 1, filter 2" where there is more than one of either.
std::string of_plane(const char* first_name, Dim first, Dim first_extent, const char* second_name, Dim second,
                     Dim second_extent) {
  std::string text;
  if (first_extent > 1) text += std::string(" ") + first_name + " " + std::to_string(first + 1);
  if (second_extent > 1) text += std::string(" ") + second_name + " " + std::to_string(second + 1);
  return text.empty() ? "" : "," + text;
}

std::string as_convolutions(const Problem& problem) {
  const bool strided = problem.stride_h > 1 || problem.stride_w > 1;
  const bool dilated = problem.dilation_h > 1 || problem.dilation_w > 1;
  const std::string spread_by = strided ? " spread by the stride" : "";
  std::string text = "\nAs convolutions\n\n    ∂L/∂F = Conv(X, ∂L/∂O)";
  if (problem.N > 1) text += ", summed over the batch";
  if (problem.C * problem.K > 1) text += ", for every filter and every channel of its group";
  if (dilated) text += ", windows moving by " + pair_of(problem.dilation_h, problem.dilation_w) + " (the dilation)";
  text += "\n\n";
  const WeightGradient weights{problem};
  const bool padded = problem.pad_top || problem.pad_left || problem.pad_bottom() != 0 || problem.pad_right() != 0;
  for (Dim n = 0; n < problem.N; ++n)
    for (Dim c = 0; c < problem.C; ++c)
      text += picture(
          std::string(padded ? "X within its padding" : "X") + of_plane("image", n, problem.N, "channel", c, problem.C),
          weights.image(n, c));
  for (Dim n = 0; n < problem.N; ++n)
    for (Dim k = 0; k < problem.K; ++k)
      text +=
          picture("∂L/∂O" + spread_by + of_plane("image", n, problem.N, "filter", k, problem.K), weights.filter(n, k));

  text += "\n    ∂L/∂X = FullConv(rot180(F), ∂L/∂O)";
  if (problem.C * problem.K > 1) text += ", summed over the filters of the channel's group";
  text += "\n\n";
  const DataGradient data{problem};
  for (Dim k = 0; k < problem.K; ++k)
    for (Dim c = 0; c < problem.C_per_group(); ++c)
      text += picture(std::string("rot180(F)") + (dilated ? " spread by the dilation" : "") +
                          of_plane("filter", k, problem.K, "channel", c, problem.C_per_group()),
                      data.filter(k, c));
  for (Dim n = 0; n < problem.N; ++n)
    for (Dim k = 0; k < problem.K; ++k)
      text += picture("∂L/∂O" + spread_by + " in its frame" + of_plane("image", n, problem.N, "filter", k, problem.K),
                      data.image(n, k));
  return text;
}

}  // namespace

Plane WeightGradient::image(Dim n, Dim channel) const {
  return framed(plane(problem, Role::x, n, channel), problem.pad_top, problem.pad_left, problem.pad_bottom(),
                problem.pad_right());
}

Plane WeightGradient::filter(Dim n, Dim k) const {
  return spread(plane(problem, Role::dy, n, k), problem.stride_h, problem.stride_w);
}

Plane DataGradient::image(Dim n, Dim k) const {
  const Dim reach_h = problem.dilation_h * (problem.R - 1), reach_w = problem.dilation_w * (problem.S - 1);
  return framed(spread(plane(problem, Role::dy, n, k), problem.stride_h, problem.stride_w), reach_h - problem.pad_top,
                reach_w - problem.pad_left, reach_h - problem.pad_bottom(), reach_w - problem.pad_right());
}

Plane DataGradient::filter(Dim k, Dim c) const {
  Plane rotated = spread(plane(problem, Role::w, k, c), problem.dilation_h, problem.dilation_w);
  std::reverse(rotated.begin(), rotated.end());
  for (auto& row : rotated) std::reverse(row.begin(), row.end());
  return rotated;
}

namespace {

/// Places in all pictures of as_convolutions(), without drawing any. They may be more than a Dim can count.
double places_drawn(const Problem& o) {
  const auto area = [](double planes, double rows, double columns) { return planes * rows * columns; };
  const Dim reach_h = o.dilation_h * (o.R - 1) + 1, reach_w = o.dilation_w * (o.S - 1) + 1;
  const Dim spread_h = (o.P - 1) * o.stride_h + 1, spread_w = (o.Q - 1) * o.stride_w + 1;
  return area(o.N * o.C, spread_h + reach_h - 1, spread_w + reach_w - 1) + area(o.N * o.K, spread_h, spread_w) +
         area(o.K * o.C_per_group(), reach_h, reach_w) + area(o.N * o.K, o.H + reach_h - 1, o.W + reach_w - 1);
}

}  // namespace

std::string too_big_to_derive(const Problem& problem) {
  for (Role role : {Role::x, Role::w, Role::dy})
    if (problem.elements(role) > kMostSymbols)
      return std::string(role == Role::x   ? "X"
                         : role == Role::w ? "F"
                                           : "O") +
             " has " + std::to_string(problem.elements(role)) + " elements, more than the " +
             std::to_string(kMostSymbols) + " that can be read; take a smaller layer";
  if (const double places = places_drawn(problem); places > static_cast<double>(kMostPlaces)) {
    char count[32];
    std::snprintf(count, sizeof count, "%.0f", places);
    return "pads, strides and dilation make pictures of " + std::string(count) + " places, more than the " +
           std::to_string(kMostPlaces) + " that can be read; take smaller ones";
  }
  return {};
}

std::string derivation(const Problem& problem) {
  const Speller speller(problem);
  const auto forward = forward_sums(problem);
  std::string text = heading(problem, speller) + "\nForward\n\n";
  for (const auto& [y, sum] : forward) text += "    " + speller.element(y) + " = " + speller.sum(sum.terms) + "\n";
  return text + local_gradients(forward, speller) + chain_rule(problem, Pass::weights, speller) +
         chain_rule(problem, Pass::data, speller) + as_convolutions(problem);
}

}  // namespace convbwd::support
