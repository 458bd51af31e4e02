// SPDX-License-Identifier: Apache-2.0
#include "core/descriptor.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

#include "problems.h"

namespace convbwd {
namespace {

TEST(Descriptor, DefaultsAndCopiedWidth) {
  const Problem problem = problem_of("ic3ih9oc4kh2");
  EXPECT_EQ(problem, (Problem{.N = 2, .C = 3, .H = 9, .W = 9, .K = 4, .R = 2, .S = 2, .P = 8, .Q = 8}));
}

TEST(Descriptor, EveryField) {
  const Problem problem = problem_of("g2mb3ic4ih11iw13oc6oh4ow5kh3kw2sh2sw3ph1pw2dh1dw3");
  EXPECT_EQ(problem, (Problem{.N = 3,
                              .G = 2,
                              .C = 4,
                              .H = 11,
                              .W = 13,
                              .K = 6,
                              .R = 3,
                              .S = 2,
                              .P = 4,
                              .Q = 5,
                              .stride_h = 2,
                              .stride_w = 3,
                              .dilation_h = 2,
                              .dilation_w = 4,
                              .pad_top = 1,
                              .pad_left = 2}));
}

TEST(Descriptor, FieldsInAnyOrderAndUnderscores) {
  EXPECT_EQ(problem_of("__kh3_ph1__oc4ih9_ic3_mb2_"), problem_of("mb2ic3ih9oc4kh3ph1"));
}

TEST(Descriptor, AllSixWidthFieldsAreCopied) {
  const Problem problem = problem_of("ic3ih20oc4oh7kh3sh3ph2dh1");
  EXPECT_EQ(problem.W, 20);
  EXPECT_EQ(problem.S, 3);
  EXPECT_EQ(problem.Q, 7);
  EXPECT_EQ(problem.stride_w, 3);
  EXPECT_EQ(problem.dilation_w, 2);
  EXPECT_EQ(problem.pad_left, 2);
  EXPECT_EQ(problem_of("ic3ih20oc4kh3sh3sw1dw0"), problem_of("ic3ih20oc4kh3sh3"));
  EXPECT_EQ(problem_of("ic3ih20oc4kh1ph0pw0"), problem_of("ic3ih20oc4kh1"));
}

TEST(Descriptor, WidthStandsAloneOnceAnyOfItIsGiven) {
  const Problem problem = problem_of("ic3ih9iw8oc4kh3kw3sh2ph1dh1");
  EXPECT_EQ(problem.stride_w, 1);
  EXPECT_EQ(problem.dilation_w, 1);
  EXPECT_EQ(problem.pad_left, 0);
  EXPECT_EQ(problem.Q, 6);
  for (const char* text : {"ic3ih9iw9oc4kh3", "ic3ih9oc4kh3sw2", "ic3ih9oc4kh3dw1", "ic3ih9oc4kh3pw1",
                           "ic3ih9oc4kh3ph1pw0", "ic3ih9oc4kh3ow7", "ic3ih9oc4kh3kw3"}) {
    const std::string error = parse_descriptor(text).error;
    EXPECT_TRUE(error == "iw is required" || error == "kw is required") << text << ": " << error;
  }
}

TEST(Descriptor, PadsFollowFromTheOutput) {
  // Total pad (oh-1)*sh + window - ih, its smaller half on top.
  EXPECT_EQ(problem_of("ic1ih5oc1oh5kh3").pad_top, 1);
  const Problem odd = problem_of("ic1ih5oc1oh6kh3");
  EXPECT_EQ(odd.pad_top, 1);
  EXPECT_EQ(odd.pad_bottom(), 2);
  // Given a top pad, the bottom one is whatever makes oh so: larger, smaller, negative.
  EXPECT_EQ(problem_of("ic1ih5oc1oh9kh3ph0").pad_bottom(), 6);
  EXPECT_EQ(problem_of("ic1ih5oc1oh2kh3ph2").pad_bottom(), -3);
  // Neither: none. ph alone: the same below, less what the stride leaves over.
  EXPECT_EQ(problem_of("ic1ih5oc1kh3").P, 3);
  EXPECT_EQ(problem_of("ic1ih5oc1kh3ph1").pad_bottom(), 1);
  EXPECT_EQ(problem_of("ic1ih6oc1kh3sh2ph1").pad_bottom(), 0);
}

TEST(Descriptor, UnusedRowsNeedNoNegativeTopPad) {
  for (const char* text : {"ic1ih8oc1oh4kh1sh2", "ic1ih9oc1oh2kh3", "ic1ih9oc1oh1kh1"}) {
    const Problem problem = problem_of(text);
    EXPECT_EQ(problem.pad_top, 0) << text;
    EXPECT_LT(problem.pad_bottom(), 0) << text;
  }
}

TEST(Descriptor, NameAndCount) {
  struct Case {
    const char *text, *name;
    Dim count;
  };
  for (const auto& [text, name, count] :
       {Case{"ic1ih5oc1kh3n\"resnet50:res2a_branch2b*3\"", "resnet50:res2a_branch2b", 3},
        Case{"ic1ih5oc1kh3nplain", "plain", 1}, Case{"ic1ih5oc1kh3_nplain*12", "plain", 12},
        Case{"ic1ih5oc1kh3n", "", 1}, Case{"ic1ih5oc1kh3n\"\"", "", 1}, Case{"ic1ih5oc1kh3n\"half", "\"half", 1},
        Case{"ic1ih5oc1kh3n\"a*b\"", "a*b", 1}, Case{"ic1ih5oc1kh3n\"ih7_oc9\"", "ih7_oc9", 1}}) {
    const Descriptor descriptor = parse_descriptor(text);
    ASSERT_TRUE(descriptor) << text << ": " << descriptor.error;
    EXPECT_EQ(descriptor.name, name);
    EXPECT_EQ(descriptor.count, count);
    EXPECT_EQ(descriptor.problem.H, 5);
  }
}

TEST(Descriptor, OtherKindsOfConvolutionAreNoMistakes) {
  for (const char* text : {"ic3id5oc4kd3", "ic3id5ih5iw5oc4kd3kh3kw3", "ic3ih5oc4kh3dd0", "ic3ih5oc4kh3pd1",
                           "g1ic3oc16_iw5ow5kw3pw1_n\"1d_conv:1st\"", "ic3iw5oc4kw3sw2dw1"}) {
    const Descriptor descriptor = parse_descriptor(text);
    EXPECT_FALSE(descriptor) << text;
    EXPECT_TRUE(descriptor.unsupported) << text;
    EXPECT_TRUE(descriptor.error.starts_with("1-D") || descriptor.error.starts_with("3-D")) << descriptor.error;
  }
}

TEST(Descriptor, RefusalsNameTheField) {
  struct Case {
    std::string text, field;
  };
  for (const auto& [text, field] : {
           Case{"", "empty"},
           Case{"oc4ih5kh3", "ic"},
           Case{"ic4ih5kh3", "oc"},
           Case{"ic4oc4kh3", "ih"},
           Case{"ic4oc4ih5", "kh"},
           Case{"ic4oc4", "ih"},
           Case{"___", "ic"},
           Case{"ic0ih5oc4kh3", "ic"},
           Case{"ic3ih0oc4kh3", "ih"},
           Case{"ic3ih5oc0kh3", "oc"},
           Case{"ic3ih5oc4kh0", "kh"},
           Case{"ic3ih5oc4kh3sh0", "sh"},
           Case{"mb0ic3ih5oc4kh3", "mb"},
           Case{"g0ic3ih5oc4kh3", "g"},
           Case{"ic3ih5oc4oh0kh3", "oh"},
           Case{"ic3ih5iw0oc4kh3kw1", "iw"},
           Case{"ic3ih5oc4kh3kw0", "kw"},
           Case{"ic3ih5oc4kh3sw0", "sw"},
           Case{"ic-3ih5oc4kh3", "ic"},
           Case{"ic3ih5oc4kh3ph-1", "ph"},
           Case{"ic3ih5oc4kh3dh-1", "dh"},
           Case{"ic+3ih5oc4kh3", "ic"},
           Case{"ic 3ih5oc4kh3", "ic"},
           Case{"ic3ih5oc4kh", "kh"},
           Case{"ic3ih5.5oc4kh3", "unknown field"},
           Case{"ic3ih5oc4kh3zz7", "unknown field"},
           Case{"ic3 ih5oc4kh3", "unknown field"},
           Case{"IC3ih5oc4kh3", "unknown field"},
           Case{"ic3ih2147483648oc4kh3", "ih"},
           Case{"ic99999999999999999999999ih5oc4kh3", "ic"},
           Case{"ic3ih5oc4kh3ph18446744073709551616", "ph"},
           Case{"ic3ih5oc4kh1dh2147483647", "dh"},
           Case{"ic3ih5ih6oc4kh3", "ih is given twice"},
           Case{"g2ic3ih5oc4kh3", "ic"},
           Case{"g2ic4ih5oc3kh3", "oc"},
           Case{"g2147483647ic4ih5oc4kh3", "g"},
           Case{"ic3ih5oc4kh7", "oh"},
           Case{"ic3ih5oc4kh3dh2", "oh"},
           Case{"ic3ih5iw2oc4kh3kw3", "ow"},
           Case{"mb2000000000ic2000000000ih5oc4kh3", "tensor x"},
           Case{"ic2000000000ih5oc2000000000kh3", "tensor w"},
           Case{"ic1ih5oc4oh2000000000ow2000000000kh3iw5kw3", "tensor dy"},
           Case{"ic1ih5oc1oh2000000000kh1sh2000000000ph0", "tensor dy"},
           Case{"ic1ih5iw5oc1oh2000000000ow1kh1kw1sh2000000000ph0", "window"},
           Case{"mb1ic1ih4oc1oh1kh2ph0dh2147483646", "with its pads"},
           Case{"mb1ic1ih4oc1kh2ph2147483000sh2147483647dh2147483646", "with its pads"},
           Case{"mb1ic1ih5iw5oc2000000oh1ow1kh1kw1ph1000000pw0", "with its pads"},
           Case{"ic1ih5oc1kh3n\"a*0\"", "n is 0"},
           Case{"ic1ih5oc1kh3n\"a*-2\"", "n is -2"},
           Case{"ic1ih5oc1kh3na*99999999999999999999999", "n is 9999"},
       }) {
    const Descriptor descriptor = parse_descriptor(text);
    EXPECT_FALSE(descriptor) << text;
    EXPECT_FALSE(descriptor.unsupported) << text;
    EXPECT_NE(descriptor.error.find(field), std::string::npos) << text << ": " << descriptor.error;
    EXPECT_LT(descriptor.error.size(), 120u) << descriptor.error;
    EXPECT_EQ(descriptor.error.find('\n'), std::string::npos);
  }
}

TEST(Descriptor, GarbageIsRefusedInOneShortLine) {
  std::mt19937_64 random(7);
  const auto refused = [](const std::string& text) {
    const Descriptor descriptor = parse_descriptor(text);
    EXPECT_FALSE(descriptor);
    EXPECT_LT(descriptor.error.size(), 120u);
    for (char letter : descriptor.error) EXPECT_TRUE(letter >= ' ' && letter <= '~');
  };
  for (int round = 0; round < 20; ++round) {
    std::string noise(100'000, '\0');
    for (char& letter : noise) letter = static_cast<char>(random());
    refused("x" + noise);
    refused("ic" + std::string(100'000, '9'));
    refused("ic3" + noise.substr(0, 1) + "\n\x1b[2J" + noise);
    refused("ic3ih5kh3oc2n\"" + noise + "*0\"");
  }
  refused(std::string(100'000, '_'));
}

/// Mutations of good descriptors: whatever comes out is refused with a reason, or is a valid Problem that round-trips.
TEST(Descriptor, MutationsAreEitherRefusedOrSound) {
  constexpr std::string_view kLetters = "gmbicdhwoksp0123456789_n\"*-\x00\xff ";
  std::mt19937_64 random(11);
  int accepted = 0;
  for (int round = 0; round < 50'000; ++round) {
    std::string text = kAwkwardDescriptors[random() % std::size(kAwkwardDescriptors)];
    for (auto edits = 1 + random() % 3; edits > 0; --edits) {
      const std::size_t at = random() % (text.size() + 1);
      const char letter = kLetters[random() % kLetters.size()];
      if (random() % 3 == 0 && at < text.size())
        text.erase(at, 1 + random() % 3);
      else if (random() % 2 && at < text.size())
        text[at] = letter;
      else
        text.insert(at, 1, letter);
    }
    const Descriptor descriptor = parse_descriptor(text);
    if (!descriptor) continue;
    ++accepted;
    ASSERT_EQ(fault_of(descriptor.problem), "") << text;
    ASSERT_EQ(parse_descriptor(to_string(descriptor.problem)).problem, descriptor.problem) << text;
  }
  EXPECT_GT(accepted, 1000);
}

Problem random_problem(std::mt19937_64& random) {
  const auto up_to = [&](Dim most) { return 1 + static_cast<Dim>(random() % static_cast<std::uint64_t>(most)); };
  const auto one_in = [&](std::uint64_t odds) { return random() % odds == 0; };
  Problem problem{.N = up_to(5), .G = one_in(3) ? up_to(4) : 1};
  problem.C = problem.G * up_to(20);
  problem.K = problem.G * up_to(20);
  const auto axis = [&](Dim& extent, Dim& taps, Dim& outputs, Dim& stride, Dim& dilation, Dim& pad) {
    extent = one_in(50) ? up_to(1'000'000) : up_to(40);
    taps = up_to(8);
    outputs = up_to(30);
    stride = one_in(2) ? 1 : up_to(7);
    dilation = one_in(2) ? 1 : up_to(5);
    pad = one_in(2) ? 0 : up_to(9);
  };
  axis(problem.H, problem.R, problem.P, problem.stride_h, problem.dilation_h, problem.pad_top);
  if (one_in(4)) {
    problem.W = problem.H, problem.S = problem.R, problem.Q = problem.P, problem.stride_w = problem.stride_h;
    problem.dilation_w = problem.dilation_h, problem.pad_left = problem.pad_top;
    if (one_in(2)) (one_in(2) ? problem.pad_left : problem.stride_w) = up_to(3);
  } else {
    axis(problem.W, problem.S, problem.Q, problem.stride_w, problem.dilation_w, problem.pad_left);
  }
  return problem;
}

TEST(Descriptor, RoundTripOfEveryProblem) {
  std::mt19937_64 random(3);
  std::set<std::string> seen;
  for (int round = 0; round < 20'000; ++round) {
    const Problem problem = random_problem(random);
    if (!fault_of(problem).empty()) continue;
    const std::string text = to_string(problem);
    const Descriptor back = parse_descriptor(text);
    ASSERT_TRUE(back) << text << ": " << back.error;
    ASSERT_EQ(back.problem, problem) << text;
    ASSERT_EQ(to_string(back.problem), text);
    seen.insert(text);
  }
  EXPECT_GT(seen.size(), 19'000u);
}

TEST(Descriptor, CanonicalSpelling) {
  EXPECT_EQ(to_string(problem_of("ic64ih56oc64kh3ph1")), "mb2ic64ih56oc64oh56kh3ph1");
  EXPECT_EQ(to_string(problem_of("g3_mb1_ic9ih7iw5_oc6_kh3kw1_sw2_dh1n\"name*4\"")),
            "g3mb1ic9ih7iw5oc6oh3ow3kh3kw1sh1sw2ph0pw0dh1dw0");
}

TEST(AwkwardProblems, AreManyDistinctAndSmall) {
  const std::vector<Problem> problems = awkward_problems();
  EXPECT_GE(problems.size(), 40u);
  std::set<std::string> distinct;
  for (const Problem& problem : problems) {
    distinct.insert(to_string(problem));
    EXPECT_LT(problem.nominal_macs(), 2e6) << to_string(problem);
  }
  EXPECT_EQ(distinct.size(), problems.size());
}

}  // namespace
}  // namespace convbwd
