// SPDX-License-Identifier: Apache-2.0
//
// Winograd's rows where tiles end: every number of outputs around one and two tiles, pads of 0 to 3 on each side, every
// number of channels around a vector; and on data that are hard on it, against the bound that its own constants give.
#include <gtest/gtest.h>

#include "core/accuracy.h"
#include "core/proof.h"
#include "core/registry.h"
#include "problems.h"

namespace convbwd {
namespace {

std::vector<const Implementation*> rows() {
  std::vector<const Implementation*> found;
  for (const Implementation* row : implementations())
    if (row->name.starts_with("winograd_") && runs_here(*row)) found.push_back(row);
  return found;
}

std::string test_name(const testing::TestParamInfo<const Implementation*>& info) {
  return std::string(info.param->name) + "_" + std::string(name(info.param->isa));
}

class Winograd : public testing::TestWithParam<const Implementation*> {
 protected:
  int tried = 0;

  void TearDown() override { EXPECT_GT(tried, 0) << "supports none of the problems"; }

  void expect_right(const Problem& problem, Data data, int threads = 1) {
    const Implementation& row = *GetParam();
    ASSERT_EQ(fault_of(problem), "") << to_string(problem);
    for (Pass pass : {Pass::data, Pass::weights}) {
      if (!row.supports(problem, pass)) continue;
      ++tried;
      const Reference reference(problem, pass, data, row.integer_growth, /*seed=*/7);
      Session session(row, problem, pass, {threads, Layout::native, {}});
      const std::string where = std::string(name(pass)) + " " + to_string(problem);
      if (data == Data::integers || data == Data::normal) {
        const Verdict verdict = prove(session, reference);
        ASSERT_TRUE(verdict) << where << ": " << verdict.wrong;
        if (data == Data::integers) continue;
      } else {
        reference.load(session);
        session.prepare();
        session.execute();
      }
      const double worst = accuracy_of(session, reference).worst;
      ASSERT_TRUE(worst <= 1) << where << ": an error of " << worst << " times what rounding can do";
    }
  }

  /// Filters that one row or the other takes.
  static std::vector<Dim> filters() { return {3, 5}; }
};

Problem square(Dim filter, Dim extent, Dim pad_top, Dim pad_bottom) {
  Problem problem{.N = 1, .C = 3, .H = extent, .W = extent + 1, .K = 2, .R = filter, .S = filter};
  problem.pad_top = pad_top;
  problem.pad_left = pad_bottom;
  problem.P = extent + pad_top + pad_bottom - filter + 1;
  problem.Q = problem.P + 1;
  return problem;
}

TEST_P(Winograd, EveryNumberOfOutputsAroundTwoTiles) {
  for (Dim filter : filters())
    for (Dim outputs = 1; outputs <= 15; ++outputs)
      for (Data data : {Data::integers, Data::normal}) {
        const Dim extent = outputs + filter - 1;
        expect_right(square(filter, extent, 0, 0), data);                                            // no pads
        if (outputs >= filter) expect_right(square(filter, outputs, filter / 2, filter / 2), data);  // same size
      }
}

TEST_P(Winograd, PadsOfEachSide) {
  for (Dim filter : filters())
    for (Dim top = 0; top <= 3; ++top)
      for (Dim bottom = 0; bottom <= 3; ++bottom)
        for (Dim extent : {1, 2, 6})
          if (extent + top + bottom >= filter) expect_right(square(filter, extent, top, bottom), Data::normal);
}

TEST_P(Winograd, EveryNumberOfChannelsAroundTwoVectors) {
  for (Dim filter : filters())
    for (Dim channels = 1; channels <= 17; ++channels) {
      Problem problem = square(filter, 5, filter / 2, filter / 2);
      problem.C = channels;
      problem.K = 18 - channels;
      expect_right(problem, Data::integers, 2);
      expect_right(problem, Data::normal);
    }
}

TEST_P(Winograd, StridesDilationsAndGroups) {
  for (const char* text :
       {"mb2ic18ih15iw11oc17kh3kw3sh2sw2ph1pw1", "mb1ic4ih13iw16oc5kh3kw3sh2sw1ph1pw0",
        "mb1ic3ih12iw9oc4kh5kw5sh2sw2ph2pw2", "mb1ic5ih11iw14oc3kh5kw3sh3sw2ph2pw1",
        "mb1ic5ih14iw9oc4kh7kw7sh2sw2ph3pw3", "mb2ic6ih12iw11oc5kh3kw3ph2pw2dh1dw1",
        "mb1ic3ih14iw15oc4kh3kw3ph4pw4dh3dw3", "mb1ic3ih14iw13oc4kh5kw5ph4pw4dh1dw1",
        "mb1ic4ih15iw13oc3kh3kw3sh2sw2ph2pw2dh1dw1", "mb1ic4ih17iw15oc3kh3kw3sh2sw3ph2pw1dh2dw1",
        "g3mb2ic48ih9iw7oc51kh3kw3ph1pw1", "g4mb1ic64ih8iw9oc68kh3kw3sh2sw2ph1pw1", "g2mb2ic34ih9iw10oc32kh5kw5ph2pw2",
        "mb1ic7ih9iw8oc5kh1kw3ph0pw1", "mb1ic6ih9iw8oc5kh5kw1ph2pw0", "mb2ic40ih30iw29oc36kh3kw3ph1pw1"})
    for (int threads : {1, 3})
      for (Data data : {Data::integers, Data::normal}) expect_right(problem_of(text), data, threads);
}

TEST_P(Winograd, HardDataStayWithinTheBound) {
  for (Dim filter : filters())
    for (Data data : {Data::rectified, Data::wide, Data::cancelling, Data::denormal})
      for (Dim channels : {3, 64}) {
        Problem problem = square(filter, 14, filter / 2, filter / 2);
        problem.C = problem.K = channels;
        expect_right(problem, data);
      }
}

/// Layers that are large enough to be cut in every way that there is, by what the plans say of themselves.
TEST_P(Winograd, EveryWay) {
  std::string said;
  for (const char* text : {"mb1ic9ih26oc9kh3ph1", "mb1ic264ih14oc264kh3ph1", "mb8ic264ih26oc264kh3ph1",
                           "mb8ic264ih29oc260kh3sh2ph1", "mb1ic277ih31iw34oc16kh1kw2", "mb1ic9ih26oc9kh5ph2",
                           "mb1ic264ih14oc264kh5ph2", "mb8ic264ih26oc264kh5ph2", "mb1ic420ih34iw34oc16kh1kw5ph0pw2"})
    for (int threads : {1, 3}) {
      const Problem problem = problem_of(text);
      for (Pass pass : {Pass::data, Pass::weights}) {
        if (!GetParam()->supports(problem, pass)) continue;
        said += GetParam()->plan(problem, pass, {threads, Layout::native, {}})->resolved() + "\n";
      }
      expect_right(problem, Data::normal, threads);
    }
  for (const char* way : {"filters transformed ahead", "filters transformed in cache", "split among threads",
                          "slabs of filters", "bin by bin"})
    EXPECT_NE(said.find(way), std::string::npos) << way << " is in none of\n" << said;
}

INSTANTIATE_TEST_SUITE_P(, Winograd, testing::ValuesIn(rows()), test_name);

}  // namespace
}  // namespace convbwd
