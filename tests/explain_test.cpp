// SPDX-License-Identifier: Apache-2.0
//
// The printed derivation against the worked example (the 3x3 image under a 2x2 filter), and, for every other kind of
// layer, the two convolutions it prints against the sums it prints.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <sstream>

#include "problems.h"
#include "support/derivation.h"

namespace convbwd::support {
namespace {

std::set<std::string> lines_of(const std::string& text) {
  std::set<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);)
    lines.insert(line.substr(std::min(line.find_first_not_of(' '), line.size())));
  return lines;
}

TEST(Explain, TheWorkedExample) {
  const std::string text = derivation(problem_of("mb1ic1ih3oc1kh2"));
  const std::set<std::string> lines = lines_of(text);
  for (const char* line : {
           "O11 = X11·F11 + X12·F12 + X21·F21 + X22·F22",
           "O12 = X12·F11 + X13·F12 + X22·F21 + X23·F22",
           "O21 = X21·F11 + X22·F12 + X31·F21 + X32·F22",
           "O22 = X22·F11 + X23·F12 + X32·F21 + X33·F22",
           "∂O11/∂F11 = X11   ∂O11/∂F12 = X12   ∂O11/∂F21 = X21   ∂O11/∂F22 = X22",
           "∂O11/∂X11 = F11   ∂O11/∂X12 = F12   ∂O11/∂X21 = F21   ∂O11/∂X22 = F22",
           "Chain rule, filter: ∂L/∂F_i = Σ_k ∂L/∂O_k · ∂O_k/∂F_i",
           "∂L/∂F11 = ∂L/∂O11·X11 + ∂L/∂O12·X12 + ∂L/∂O21·X21 + ∂L/∂O22·X22",
           "∂L/∂F12 = ∂L/∂O11·X12 + ∂L/∂O12·X13 + ∂L/∂O21·X22 + ∂L/∂O22·X23",
           "∂L/∂F21 = ∂L/∂O11·X21 + ∂L/∂O12·X22 + ∂L/∂O21·X31 + ∂L/∂O22·X32",
           "∂L/∂F22 = ∂L/∂O11·X22 + ∂L/∂O12·X23 + ∂L/∂O21·X32 + ∂L/∂O22·X33",
           "∂L/∂F = Conv(X, ∂L/∂O)",
           "Chain rule, input: ∂L/∂X_i = Σ_k ∂L/∂O_k · ∂O_k/∂X_i",
           "∂L/∂X11 = ∂L/∂O11·F11",
           "∂L/∂X12 = ∂L/∂O11·F12 + ∂L/∂O12·F11",
           "∂L/∂X13 = ∂L/∂O12·F12",
           "∂L/∂X21 = ∂L/∂O11·F21 + ∂L/∂O21·F11",
           "∂L/∂X22 = ∂L/∂O11·F22 + ∂L/∂O12·F21 + ∂L/∂O21·F12 + ∂L/∂O22·F11",
           "∂L/∂X23 = ∂L/∂O12·F22 + ∂L/∂O22·F12",
           "∂L/∂X31 = ∂L/∂O21·F21",
           "∂L/∂X32 = ∂L/∂O21·F22 + ∂L/∂O22·F21",
           "∂L/∂X33 = ∂L/∂O22·F22",
           "∂L/∂X = FullConv(rot180(F), ∂L/∂O)",
       })
    EXPECT_TRUE(lines.contains(line)) << line << "\nis not in\n" << text;
  EXPECT_NE(text.find("rot180(F):\n        F22 F21\n        F12 F11\n"), std::string::npos) << text;
  EXPECT_NE(text.find("        0       0       0       0\n"
                      "        0       ∂L/∂O11 ∂L/∂O12 0\n"
                      "        0       ∂L/∂O21 ∂L/∂O22 0\n"
                      "        0       0       0       0\n"),
            std::string::npos)
      << text;
}

/// Terms of every sum of the section that begins with `heading`: "∂L/∂F11" -> {"∂L/∂O11·X11", ...}.
std::map<std::string, std::multiset<std::string>> sums_in(const std::string& text, const std::string& heading) {
  std::map<std::string, std::multiset<std::string>> sums;
  std::istringstream stream(text.substr(text.find(heading)));
  std::string line;
  std::getline(stream, line);
  std::getline(stream, line);
  while (std::getline(stream, line) && !line.empty()) {
    std::istringstream words(line);
    std::string element, word;
    words >> element >> word;
    auto& terms = sums[element];
    while (words >> word)
      if (word != "+" && word != "0") terms.insert(word);
  }
  return sums;
}

using Sums = std::vector<std::vector<std::multiset<std::string>>>;

/// The definition of a convolution (no flip), on names: windows of the image moving by the given steps.
void convolve(const Plane& image, const Plane& filter, Dim step_h, Dim step_w, bool image_first, Sums& sums) {
  for (std::size_t row = 0; row < sums.size(); ++row)
    for (std::size_t column = 0; column < sums[row].size(); ++column)
      for (std::size_t r = 0; r < filter.size(); ++r)
        for (std::size_t s = 0; s < filter[r].size(); ++s) {
          const std::string& a =
              image.at(row * static_cast<std::size_t>(step_h) + r).at(column * static_cast<std::size_t>(step_w) + s);
          const std::string& b = filter[r][s];
          if (a != "0" && b != "0") sums[row][column].insert(image_first ? a + "·" + b : b + "·" + a);
        }
}

Sums empty_sums(Dim rows, Dim columns) {
  return Sums(static_cast<std::size_t>(rows),
              std::vector<std::multiset<std::string>>(static_cast<std::size_t>(columns)));
}

class Derivation : public testing::TestWithParam<const char*> {
 protected:
  /// "F11" or "F[1,1,1,1]"
  std::string element(const char* letter, Dim a, Dim b, Dim row, Dim column) const {
    const auto index = [](Dim value) { return std::to_string(value + 1); };
    const std::string brackets = "[" + index(a) + "," + index(b) + "," + index(row) + "," + index(column) + "]";
    const bool is_short = text.find("X12 is row 1") != std::string::npos;
    return "∂L/∂" + std::string(letter) + (is_short ? index(row) + index(column) : brackets);
  }
  const Problem problem = problem_of(GetParam());
  const std::string text = derivation(problem);
};

TEST_P(Derivation, WeightGradientIsTheConvolutionItPrints) {
  const auto sums = sums_in(text, "Chain rule, filter");
  EXPECT_EQ(static_cast<Dim>(sums.size()), problem.elements(Role::dw));
  const WeightGradient form{problem};
  for (Dim k = 0; k < problem.K; ++k)
    for (Dim c = 0; c < problem.C_per_group(); ++c) {
      Sums convolved = empty_sums(problem.R, problem.S);
      for (Dim n = 0; n < problem.N; ++n)
        convolve(form.image(n, k / problem.K_per_group() * problem.C_per_group() + c), form.filter(n, k),
                 problem.dilation_h, problem.dilation_w, false, convolved);
      for (Dim r = 0; r < problem.R; ++r)
        for (Dim s = 0; s < problem.S; ++s)
          EXPECT_EQ(sums.at(element("F", k, c, r, s)),
                    convolved[static_cast<std::size_t>(r)][static_cast<std::size_t>(s)]);
    }
}

TEST_P(Derivation, DataGradientIsTheConvolutionItPrints) {
  const auto sums = sums_in(text, "Chain rule, input");
  EXPECT_EQ(static_cast<Dim>(sums.size()), problem.elements(Role::dx));
  const DataGradient form{problem};
  for (Dim n = 0; n < problem.N; ++n)
    for (Dim c = 0; c < problem.C; ++c) {
      Sums convolved = empty_sums(problem.H, problem.W);
      const Dim first = c / problem.C_per_group() * problem.K_per_group();
      for (Dim k = first; k < first + problem.K_per_group(); ++k)
        convolve(form.image(n, k), form.filter(k, c % problem.C_per_group()), 1, 1, true, convolved);
      for (Dim h = 0; h < problem.H; ++h)
        for (Dim w = 0; w < problem.W; ++w)
          EXPECT_EQ(sums.at(element("X", n, c, h, w)),
                    convolved[static_cast<std::size_t>(h)][static_cast<std::size_t>(w)]);
    }
}

TEST_P(Derivation, BothGradientsAndTheForwardSumsHaveTheSameTerms) {
  const auto count = [&](const char* heading) {
    std::size_t terms = 0;
    for (const auto& [element, sum] : sums_in(text, heading)) terms += sum.size();
    return static_cast<double>(terms);
  };
  EXPECT_EQ(count("Forward"), problem.macs());
  EXPECT_EQ(count("Chain rule, filter"), problem.macs());
  EXPECT_EQ(count("Chain rule, input"), problem.macs());
}

INSTANTIATE_TEST_SUITE_P(, Derivation,
                         testing::Values("mb1ic1ih3oc1kh2", "mb1ic1ih1oc1kh1", "mb1ic1ih4iw3oc1kh3kw2ph1pw1",
                                         "mb1ic1ih5iw6oc1kh3kw2sh2sw3ph1pw0", "mb1ic1ih6iw5oc1oh2ow2kh2kw2sh2sw1ph0pw0",
                                         "mb1ic1ih5iw7oc1kh2kw3dh1dw2", "mb1ic1ih4iw5oc1kh2kw2sh2sw1ph2pw3dh1dw0",
                                         "mb1ic1ih2iw3oc1kh2kw2ph3pw2", "mb1ic1ih2iw2oc1oh5ow2kh2kw1ph1pw0",
                                         "mb1ic1ih1iw12oc1kh1kw3ph0pw1", "mb2ic3ih3iw2oc2kh2kw2ph1pw0",
                                         "g2mb2ic4ih2iw3oc2kh2kw1", "g3mb1ic3ih3iw4oc6kh2kw2sh2sw2ph1pw1dh0dw1"));

TEST(Explain, RefusesWhatNobodyReads) {
  EXPECT_EQ(too_big_to_derive(problem_of("mb1ic1ih8oc1kh8ph3")), "");
  for (const auto& [text, letter] :
       {std::pair{"mb1ic1ih9oc1kh8", 'X'}, {"mb1ic1ih8oc1kh9ph3", 'F'}, {"mb1ic1ih3oc8kh1", 'O'}}) {
    const std::string reason = too_big_to_derive(problem_of(text));
    ASSERT_FALSE(reason.empty()) << text;
    EXPECT_EQ(reason.front(), letter);
  }
  for (const char* text :
       {"mb1ic1ih2iw1oc1oh2ow1kh1kw1sh2000000000sw1", "mb1ic1ih2iw1oc1oh1ow1kh2kw1dh2000000000dw0ph2000000000pw0",
        "mb1ic1ih3oc1oh3kh1sh40ph39", "mb1ic1ih2oc1oh8kh1sh9ph2"}) {
    const std::string reason = too_big_to_derive(problem_of(text));
    ASSERT_EQ(reason.substr(0, 5), "pads,") << text << reason;
    EXPECT_LT(reason.size(), 150u);
  }
}

}  // namespace
}  // namespace convbwd::support
