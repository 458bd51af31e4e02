// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

namespace convbwd {

using Dim = std::ptrdiff_t;

/// Which gradient: `data` is dx from dy and w, `weights` is dw from dy and x.
enum class Pass { data, weights };

/// The tensors of a layer's forward and backward pass.
enum class Role { x, w, dy, dx, dw };
inline constexpr int kRoles = 5;

std::string_view name(Pass pass);
std::string_view name(Role role);

/// The tensor a pass computes, and the two it reads (the output gradient first).
constexpr Role output_of(Pass pass) { return pass == Pass::data ? Role::dx : Role::dw; }
constexpr std::array<Role, 2> inputs_of(Pass pass) { return {Role::dy, pass == Pass::data ? Role::w : Role::x}; }

/// One layer of a 2-D convolution, in the words of the forward pass
///     y[n,k,p,q] = sum over c,r,s of  x[n, c, h_of(p,r), w_of(q,s)] * w[k,c,r,s]
/// with x = 0 outside the image and c running inside the group of k. The bottom and right pads are not stored: they
/// act only through P and Q, and are negative where the last rows or columns are read by no output.
struct Problem {
  Dim N = 2, G = 1;
  Dim C = 1, H = 1, W = 1;
  Dim K = 1, R = 1, S = 1;
  Dim P = 1, Q = 1;
  Dim stride_h = 1, stride_w = 1;
  Dim dilation_h = 1, dilation_w = 1;  // 1 = dense
  Dim pad_top = 0, pad_left = 0;

  bool operator==(const Problem&) const = default;

  Dim C_per_group() const { return C / G; }
  Dim K_per_group() const { return K / G; }
  Dim pad_bottom() const { return (P - 1) * stride_h + dilation_h * (R - 1) + 1 - H - pad_top; }
  Dim pad_right() const { return (Q - 1) * stride_w + dilation_w * (S - 1) + 1 - W - pad_left; }

  /// Image row (column) that output row p (column q) reads through filter row r (column s); may lie outside the image.
  Dim h_of(Dim p, Dim r) const { return p * stride_h + r * dilation_h - pad_top; }
  Dim w_of(Dim q, Dim s) const { return q * stride_w + s * dilation_w - pad_left; }

  /// Extents of a tensor: x, dx are N,C,H,W; w, dw are K,C/G,R,S; dy is N,K,P,Q.
  std::array<Dim, 4> shape(Role role) const;
  Dim elements(Role role) const;

  /// Products summed into one element of the pass's output, at most.
  Dim terms(Pass pass) const;

  /// Multiply-adds of one pass by the definition: `macs` counts only taps that fall inside the image and is what every
  /// rate in this project is computed from; `nominal_macs` counts the taps in the padding too, as most tools do.
  double macs() const;
  double nominal_macs() const;
};

/// What is wrong with a problem, naming the field, or nothing. Every Problem built by a parser has passed this.
/// Extents and strides are positive, groups divide C and K, pads are not negative, and no tensor has 2^40 or more
/// elements.
std::string fault_of(const Problem& problem);

}  // namespace convbwd
