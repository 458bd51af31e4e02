// SPDX-License-Identifier: Apache-2.0
//
// What implementations cut their work with, against loops that try everything.
#include "core/ranges.h"

#include <gtest/gtest.h>

#include <set>
#include <utility>

#include "core/phases.h"

namespace convbwd {
namespace {

TEST(Ranges, DivisionsRoundUpAndDown) {
  for (Dim b = 1; b < 5; ++b)
    for (Dim a = -9; a < 10; ++a) {
      EXPECT_LE(floor_div(a, b) * b, a) << a << " / " << b;
      EXPECT_GT(floor_div(a, b) * b + b, a) << a << " / " << b;
      if (a > -b) {
        EXPECT_EQ(ceil_div(a, b), -floor_div(-a, b)) << a << " / " << b;
      }
    }
}

TEST(Ranges, PartsFollowOneAnotherAndDifferByOneAtMost) {
  for (Dim total = 1; total < 40; ++total)
    for (Dim most = 1; most < 9; ++most) {
      const Parts parts = parts_of_at_most(most, total);
      Dim end = 0;
      for (Dim i = 0; i < parts.count; ++i) {
        const Range part = parts.part(i);
        EXPECT_EQ(part.begin, end);
        EXPECT_GE(part.size(), parts.largest() - 1);
        EXPECT_LE(part.size(), parts.largest());
        for (Dim thing = part.begin; thing < part.end; ++thing) EXPECT_EQ(parts.part_of(thing), i);
        end = part.end;
      }
      EXPECT_EQ(end, total);
      EXPECT_LE(parts.largest(), most);
    }
}

TEST(Ranges, SizesAreThoseOfTheParts) {
  for (Dim total = 0; total < 40; ++total)
    for (Dim most = 1; most < 9; ++most) {
      std::multiset<Dim> sizes, expected;
      Dim end = 0, last = most;
      for_each_size(most, total, [&](Dim count, Dim size, Dim begin) {
        EXPECT_EQ(begin, end);
        EXPECT_LE(size, last);
        for (Dim i = 0; i < count; ++i) sizes.insert(size);
        end += count * size;
        last = size;
      });
      const Parts parts = parts_of_at_most(most, total);
      for (Dim i = 0; i < parts.count; ++i) expected.insert(parts.part(i).size());
      EXPECT_EQ(sizes, expected);
      EXPECT_EQ(end, total);
    }
}

TEST(Ranges, NothingHasNoParts) {
  const Parts none = parts_of_at_most(3, 0);
  EXPECT_EQ(none.count, 0);
  EXPECT_EQ(none.largest(), 0);
}

TEST(Ranges, OutputsInsideAreThoseWhosePositionExists) {
  for (Dim stride = 1; stride < 4; ++stride)
    for (Dim offset = -9; offset < 9; ++offset) {
      const Range inside = outputs_inside(5, 4, stride, offset);
      Dim count = 0;
      for (Dim o = 0; o < 4; ++o) {
        const bool exists = o * stride + offset >= 0 && o * stride + offset < 5;
        count += exists;
        if (exists) {
          EXPECT_TRUE(o >= inside.begin && o < inside.end) << stride << ' ' << offset << ' ' << o;
        }
      }
      EXPECT_EQ(inside.size(), count) << stride << ' ' << offset;
    }
}

// Every pair (output, tap) that meets a position is found exactly once, and nothing else is.
TEST(Phases, HaveAllThatMeetsAPosition) {
  constexpr Dim kExtent = 9;
  using Meetings = std::multiset<std::pair<Dim, Dim>>;
  for (Dim outputs : {1, 2, 7})
    for (Dim filter : {1, 3, 4, 6})
      for (Dim stride = 1; stride < 5; ++stride)
        for (Dim dilation = 1; dilation < 5; ++dilation)
          for (Dim pad : {0, 1, 5}) {
            SCOPED_TRACE(testing::Message() << outputs << " outputs, " << filter << " taps, stride " << stride
                                            << ", dilation " << dilation << ", pad " << pad);
            Dim seen = 0;
            for (const Phase& phase : phases_of(kExtent, outputs, filter, stride, dilation, pad))
              for (Dim i = 0; i < phase.count; ++i, ++seen) {
                const Dim position = phase.first + i * stride;
                Meetings found, expected;
                const Range taps = phase.taps_at(i, outputs);
                for (Dim t = taps.begin; t < taps.end; ++t)
                  found.emplace(i + phase.lead - t * phase.lag, phase.first_tap + t * phase.tap_step);
                for (Dim p = 0; p < outputs; ++p)
                  for (Dim r = 0; r < filter; ++r)
                    if (p * stride + r * dilation == position + pad) expected.emplace(p, r);
                EXPECT_EQ(found, expected) << "position " << position;
              }
            EXPECT_EQ(seen, kExtent);
          }
}

}  // namespace
}  // namespace convbwd
