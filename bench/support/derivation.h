// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "core/problem.h"

namespace convbwd::support {

/// More elements of a tensor than this nobody reads.
inline constexpr Dim kMostSymbols = 64;

/// Nor the pictures of the two convolutions where they have more places than this, filled by zeros or elements.
inline constexpr Dim kMostPlaces = 4096;

/// What makes the layer too big for derivation(), or nothing.
std::string too_big_to_derive(const Problem& problem);

/// Both gradients of a layer written out, in the words of a textbook: forward sums, local gradients, the chain rule's
/// sums, and the two convolutions that they are. All sums come from the loops of core/definition.h, run on symbols.
///
/// X is the input, F the filter, O the output. Indices count from 1: X12 is row 1, column 2. Where rows and columns are
/// not enough (batch, channels, filters, groups), or need two digits, they are X[n,c,h,w], F[k,c,r,s] (c inside the
/// group of k) and O[n,k,p,q].
std::string derivation(const Problem& problem);

// The two convolutions as images and filters, plane by plane. A plane is a matrix of names, "0" where there is none.
using Plane = std::vector<std::vector<std::string>>;

/// dF[k,c] = sum over n of Conv(image(n,c), filter(n,k)), windows moving by the dilation. The image is X within its
/// pads (without the rows no window reads); the filter is dL/dO with zeros between its elements where there is a
/// stride.
struct WeightGradient {
  const Problem& problem;
  Plane image(Dim n, Dim channel) const;
  Plane filter(Dim n, Dim k) const;
};

/// dX[n,c] = sum over the group's k of Conv(image(n,k), filter(k,c)), windows moving by 1. The image is dL/dO with
/// zeros between its elements where there is a stride, in a frame of zeros (cropped, where that is negative) that makes
/// all of dX; the filter is F rotated by 180 degrees, with zeros between its elements where there is a dilation.
struct DataGradient {
  const Problem& problem;
  Plane image(Dim n, Dim k) const;
  Plane filter(Dim k, Dim c) const;
};

}  // namespace convbwd::support
