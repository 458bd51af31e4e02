// SPDX-License-Identifier: Apache-2.0
//
// The checkers, each with the damage it must catch.
#include "core/proof.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "core/definition.h"
#include "core/registry.h"

namespace convbwd {
namespace {

using Harm = std::function<void(const Operands&, std::span<std::byte>)>;
Harm harm;  // done after an otherwise right execution

/// The definition, with a workspace it does not need, and then the harm.
class DamagedPlan final : public Plan {
 public:
  DamagedPlan(const Problem& problem, Pass pass) : problem_(problem), pass_(pass) {}
  std::size_t workspace_bytes() const override { return 256; }
  void execute(const Operands& operands, std::span<std::byte> workspace) const override {
    const View4<float> out = operands.output(pass_);
    gradient<DoubleSum>(problem_, pass_, operands.dy, operands.input(inputs_of(pass_)[1]),
                        [&](const std::array<Dim, 4>& at, const DoubleSum& sum) {
                          out(at[0], at[1], at[2], at[3]) = static_cast<float>(sum.value);
                        });
    if (harm) harm(operands, workspace);
  }

 private:
  Problem problem_;
  Pass pass_;
};

std::unique_ptr<Plan> plan(const Problem& problem, Pass pass, const PlanOptions&) {
  return std::make_unique<DamagedPlan>(problem, pass);
}
constexpr Implementation kDamaged{.name = "damaged", .idea = "to be caught", .supports = supports_all, .plan = plan};

constexpr Problem kSmall{.N = 2,
                         .G = 1,
                         .C = 3,
                         .H = 7,
                         .W = 6,
                         .K = 5,
                         .R = 3,
                         .S = 2,
                         .P = 4,
                         .Q = 3,
                         .stride_h = 2,
                         .stride_w = 2,
                         .pad_top = 1,
                         .pad_left = 1};
// More multiply-adds than are checked in full, yet the definition takes a moment only.
constexpr Problem kLarge{
    .N = 4, .G = 1, .C = 32, .H = 40, .W = 41, .K = 32, .R = 6, .S = 6, .P = 40, .Q = 41, .pad_top = 2, .pad_left = 3};

Verdict verdict_of(const Problem& problem, Pass pass, Data data, Harm what) {
  harm = std::move(what);
  Session session(kDamaged, problem, pass, {});
  const Reference reference(problem, pass, data, 1, 7);
  return prove(session, reference);
}

class Checkers : public testing::TestWithParam<std::tuple<Pass, Data>> {
 protected:
  Pass pass() const { return std::get<0>(GetParam()); }
  Verdict with(const Problem& problem, Harm what) { return verdict_of(problem, pass(), std::get<1>(GetParam()), what); }
  Verdict with_element(const Problem& problem, Dim at, std::function<float(float)> change) {
    return with(problem, [this, at, change](const Operands& operands, std::span<std::byte>) {
      float& element = operands.output(pass()).data[at];
      element = change(element);
    });
  }
  Dim last() const { return kSmall.elements(output_of(pass())) - 1; }
};

TEST_P(Checkers, PassWhatIsRight) {
  for (const Problem& problem : {kSmall, kLarge}) {
    const Verdict verdict = with(problem, nullptr);
    EXPECT_TRUE(verdict) << verdict.wrong;
    EXPECT_GT(verdict.checked, 0);
  }
}

TEST_P(Checkers, PassWhatIsRightAfterEviction) {
  harm = nullptr;
  Session session(kDamaged, kSmall, pass(), {});
  const Reference reference(kSmall, pass(), std::get<1>(GetParam()), 1, 7);
  reference.load(session);
  session.prepare();
  session.evict();
  session.execute();
  const Verdict verdict = reference.judge(session.output(), kDamaged);
  EXPECT_TRUE(verdict) << verdict.wrong;
  EXPECT_EQ(session.damage(), "");
}

TEST_P(Checkers, CatchOneNanInTheMiddle) {
  const Verdict verdict =
      with_element(kSmall, last() / 2, [](float) { return std::numeric_limits<float>::quiet_NaN(); });
  EXPECT_FALSE(verdict);
  EXPECT_EQ(verdict.failed, 1);
  EXPECT_NE(verdict.wrong.find("nan, expected"), std::string::npos) << verdict.wrong;
}

TEST_P(Checkers, CatchOneWrongCorner) {
  const Verdict verdict = with_element(kSmall, last(), [](float value) { return value + 1; });
  EXPECT_FALSE(verdict);
  EXPECT_EQ(verdict.failed, 1);
}

TEST_P(Checkers, CatchInfinityAndAnOutputNeverWritten) {
  EXPECT_FALSE(with_element(kSmall, 3, [](float) { return std::numeric_limits<float>::infinity(); }));
  EXPECT_FALSE(with_element(kSmall, 3, [](float) { return std::nanf("1"); }));
}

TEST_P(Checkers, CatchAddingToTheOutputInsteadOfOverwriting) {
  // Right at first sight: the output starts as NaN only for the first execution.
  bool first = true;
  const Verdict verdict = with(kSmall, [&](const Operands& operands, std::span<std::byte>) {
    if (!std::exchange(first, false)) operands.output(pass()).data[1] *= 2;
  });
  EXPECT_FALSE(verdict);
  EXPECT_NE(verdict.wrong.find("executed again"), std::string::npos) << verdict.wrong;
}

/// As a library does whose code no sanitizer has seen.
[[gnu::no_sanitize("address")]] void fill_unseen(std::byte* from, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; ++i) from[i] = std::byte{1};
}

TEST_P(Checkers, CatchWritesOutsideTheBuffers) {
  for (Dim beyond : {Dim{-1}, last() + 1}) {
    const Verdict verdict = with(kSmall, [&](const Operands& operands, std::span<std::byte>) {
      fill_unseen(reinterpret_cast<std::byte*>(operands.output(pass()).data + beyond), sizeof(float));
    });
    EXPECT_FALSE(verdict);
    EXPECT_NE(verdict.wrong.find("bytes written"), std::string::npos) << verdict.wrong;
  }
  const Verdict verdict = with(kSmall, [](const Operands&, std::span<std::byte> workspace) {
    fill_unseen(workspace.data(), 2 * workspace.size());  // as if only half had been given
  });
  EXPECT_FALSE(verdict);
  EXPECT_NE(verdict.wrong.find("workspace"), std::string::npos) << verdict.wrong;
}

#ifdef CONVBWD_ADDRESS_SANITIZER
TEST(Sanitizer, SeesReadsOutsideTheBuffers) {
  for (const std::size_t bytes : {64, 68, 99})
    for (const std::size_t offset : {0, 4}) {
      const Buffer buffer(bytes, offset);
      const auto read = [&](std::ptrdiff_t at) { return *static_cast<volatile std::byte*>(buffer.data() + at); };
      const auto last = static_cast<std::ptrdiff_t>(bytes) - 1;
      EXPECT_EQ(buffer.damage(), "");
      EXPECT_EQ(read(0), read(last));
      EXPECT_DEATH(read(last + 1), "AddressSanitizer: use-after-poison");
      EXPECT_DEATH(read(-8), "AddressSanitizer: use-after-poison");  // it knows the address of every eighth byte
    }
}
#endif

TEST_P(Checkers, CatchAChangedInput) {
  const Verdict verdict = with(
      kSmall, [](const Operands& operands, std::span<std::byte>) { const_cast<float*>(operands.dy.data)[5] += 1; });
  EXPECT_FALSE(verdict);
  EXPECT_NE(verdict.wrong.find("input dy was changed"), std::string::npos) << verdict.wrong;
}

TEST_P(Checkers, SeeALostTileOfALargeGradient) {
  const Verdict verdict = with(kLarge, [&](const Operands& operands, std::span<std::byte>) {
    std::fill_n(operands.output(pass()).data + 9999, 64, 0.f);
  });
  EXPECT_FALSE(verdict);
}

INSTANTIATE_TEST_SUITE_P(, Checkers,
                         testing::Combine(testing::Values(Pass::data, Pass::weights),
                                          testing::Values(Data::integers, Data::normal)),
                         [](const auto& one) {
                           return std::string(name(std::get<0>(one.param))) +
                                  (std::get<1>(one.param) == Data::integers ? "_integers" : "_normal");
                         });

// On whole numbers the probes are exact: they see any one element, however far from the sample, however small the
// error.
TEST(Probes, SeeEveryElementOfALargeGradient) {
  for (Pass pass : {Pass::data, Pass::weights}) {
    const Dim elements = kLarge.elements(output_of(pass));
    const auto caught = [pass](Dim at, float (*change)(float)) {
      return !verdict_of(kLarge, pass, Data::integers, [=](const Operands& operands, std::span<std::byte>) {
        float& element = operands.output(pass).data[at];
        element = change(element);
      });
    };
    for (Dim at : {elements / 3 + 1, elements / 2 + 7, elements - 12345})
      EXPECT_TRUE(caught(at, [](float value) { return value + 1; })) << at;
    EXPECT_TRUE(caught(elements / 3, [](float value) { return value + 0.5f; }));
    EXPECT_TRUE(caught(elements / 3, [](float) { return std::nanf(""); }));
    EXPECT_FALSE(verdict_of(kLarge, pass, Data::integers, [=](const Operands& operands, std::span<std::byte>) {
      float* data = operands.output(pass).data + elements / 3;
      std::rotate(data, data + 1, data + 5);
    }));
  }
}

TEST(Bound, IsNotAboveWhatOneRoundingTooManyCosts) {
  // The allowed error is tight enough to see a sum carried in half precision, and wide enough for float.
  const Verdict verdict = verdict_of(kSmall, Pass::data, Data::normal, [](const Operands& operands, auto) {
    for (Dim i = 0; i < operands.dx.size(); ++i) operands.dx.data[i] *= 1.0005f;
  });
  EXPECT_FALSE(verdict);
}

TEST(Data, WholeNumbersStayExactHoweverLongTheSum) {
  for (const Problem& problem : {kSmall, kLarge, Problem{.N = 8, .H = 300, .W = 300, .P = 300, .Q = 300}})
    for (double growth : {1.0, 36.0}) {
      const Inputs inputs = make_inputs(problem, Pass::weights, Data::integers, growth, 3);
      EXPECT_TRUE(inputs.exact);
      EXPECT_LE(growth * magnitude_bound(problem, Pass::weights, inputs), 0x1p24);
    }
}

TEST(Data, IsAsGoodAsNormal) {
  const Inputs inputs = make_inputs(kLarge, Pass::data, Data::normal, 1, 5);
  double sum = 0, squares = 0;
  for (float value : inputs.dy) sum += value, squares += value * value;
  const double count = static_cast<double>(inputs.dy.size());
  EXPECT_NEAR(sum / count, 0, 0.01);
  EXPECT_NEAR(squares / count, 1, 0.02);
}

}  // namespace
}  // namespace convbwd
