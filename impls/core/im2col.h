// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <vector>

#include "core/gemm/gather.h"
#include "core/implementation.h"
#include "core/matrix.h"
#include "core/phases.h"

// Both gradients as matrix products:
//
//   weights   dw [K x RSC]     = dy [K x NPQ]   *  lowered(x)  [NPQ x RSC]     row (n,p,q): the pixels that output
//   reads data      dx [C x pixels]  = w' [C x KRS]   *  lowered(dy) [KRS x pixels]  column: the outputs that read that
//   pixel
//
// The lowered matrix is never written down. Its element for window i and tap j is the pixel at i * step + j * dilation
// + offset in each direction, so with a border of zeros around the image its address is (a number of i) + (a number of
// j): it is a Matrix over the padded image. The border costs one copy of the image instead of the R*S copies of im2col,
// and that copy also brings the channels where the product wants them. A 1x1 filter needs no copy at all.
//
// The data gradient does not use col2im, the transpose of im2col, which adds R*S overlapping images: rot180(w) over dy
// is the same kind of product, writes every dx once, and gives exact zeros where no window reaches. A stride splits dx
// into stride_h * stride_w phases (core/phases.h), each an ordinary stride-1 product with some of the taps.
//
// Include it only in code that is compiled for one instruction set; everything here is inline.
namespace convbwd::im2col {

using gemm::gather;

/// Windows sliding along one direction: window i reads, through tap j, position i * step + j * dilation + offset. They
/// belong to output (or pixel) first + i * first_step, and tap j is filter tap first_tap + j * tap_step.
struct Windows {
  Dim count, taps;
  Dim step, dilation, offset;
  Dim first = 0, first_step = 1;
  Dim first_tap = 0, tap_step = 1;

  Dim lowest() const { return offset + std::min<Dim>(0, (taps - 1) * dilation); }
  Dim highest() const { return offset + (count - 1) * step + std::max<Dim>(0, (taps - 1) * dilation); }
};

/// All windows along one direction: one set for the weight gradient, one for each phase for the data gradient.
inline std::vector<Windows> windows_of(Pass pass, Dim pixels, Dim taps, Dim outputs, Dim stride, Dim dilation,
                                       Dim pad) {
  if (pass == Pass::weights) return {{outputs, taps, stride, dilation, -pad}};
  std::vector<Windows> all;
  for (const Phase& phase : phases_of(pixels, outputs, taps, stride, dilation, pad))
    all.push_back(
        {phase.count, phase.taps, 1, -phase.lag, phase.lead, phase.first, stride, phase.first_tap, phase.tap_step});
  return all;
}

/// Every position that some window reads.
inline Range reach_of(const std::vector<Windows>& all) {
  Range span;
  for (const Windows& windows : all) {
    if (windows.taps == 0) continue;
    if (span.size() == 0) span = {windows.lowest(), windows.highest() + 1};
    span = {std::min(span.begin, windows.lowest()), std::max(span.end, windows.highest() + 1)};
  }
  return span;
}

/// One pass of a problem as matrix products over a few images at a time. Immutable, owns no tensors.
class Lowering {
 public:
  /// At most `most_images` images at a time.
  Lowering(const Problem& problem, Pass pass, Dim most_images)
      : problem_(problem),
        pass_(pass),
        extent_(problem.shape(lowered())),
        windows_h_(
            windows_of(pass, problem.H, problem.R, problem.P, problem.stride_h, problem.dilation_h, problem.pad_top)),
        windows_w_(
            windows_of(pass, problem.W, problem.S, problem.Q, problem.stride_w, problem.dilation_w, problem.pad_left)),
        reach_h_(reach_of(windows_h_)),
        reach_w_(reach_of(windows_w_)) {
    const bool inside =
        reach_h_.begin >= 0 && reach_h_.end <= extent_[2] && reach_w_.begin >= 0 && reach_w_.end <= extent_[3];
    copies_ = !(inside && problem.R == 1 && problem.S == 1);
    images_ = std::min(problem.N, most_images);
    if (copies_) images_ = std::clamp<Dim>(kCopyFloats / std::max<Dim>(1, image_floats()), 1, images_);
    images_ = parts_of_at_most(images_, problem.N).largest();
  }

  /// Images are lowered in chunks of nearly equal size; the weight gradient adds up over them.
  Dim chunks() const { return ceil_div(problem_.N, images_); }
  Dim first_image(Dim chunk) const { return chunk * images_; }
  Dim images_in(Dim chunk) const { return std::min(images_, problem_.N - first_image(chunk)); }

  /// Scratch memory for the padded copy of a chunk, in floats; 0 where the tensor itself serves.
  Dim copy_floats() const { return copies_ ? images_ * image_floats() : 0; }

  /// The copy of a chunk is made of this many rows, each on its own.
  Dim copy_rows(Dim chunk) const { return copies_ ? images_in(chunk) * reach_h_.size() : 0; }

  void copy_row(const Operands& operands, Dim chunk, Dim row, float* copy) const {
    const View4<const float> image = operands.input(lowered());
    const View4<float> padded = padded_view(copy);
    const Dim n = row / reach_h_.size(), h = row % reach_h_.size() + reach_h_.begin;
    const Dim left = std::clamp<Dim>(-reach_w_.begin, 0, reach_w_.size());
    const Dim right = std::clamp<Dim>(extent_[3] - reach_w_.begin, left, reach_w_.size());
    // A line is what the copy holds in one piece: this row of every channel together, or of one channel.
    float* const start = padded.data + n * padded.stride[0] + (h - reach_h_.begin) * padded.stride[2];
    const Dim channels = extent_[1], lines = channels_last() ? 1 : channels;
    for (Dim line = 0; line < lines; ++line)
      std::fill_n(start + line * padded.stride[1], reach_w_.size() * padded.stride[3], 0.0f);
    if (h < 0 || h >= extent_[2]) return;

    const float* const source = &image(first_image(chunk) + n, 0, h, left + reach_w_.begin);
    float* const to = start + left * padded.stride[3];
    const Range pixels{0, right - left}, all{0, channels};
    const Axis pixel_axis = plain_axis(pixels.size(), image.stride[3]),
               channel_axis = plain_axis(channels, image.stride[1]);
    if (channels_last())
      gather({source, pixel_axis, channel_axis}, pixels, all, to, padded.stride[3]);
    else
      gather({source, channel_axis, pixel_axis}, all, pixels, to, padded.stride[1]);
  }

  /// The products of one group: one for the weight gradient, one a phase of the stride for the data gradient. Their
  /// outputs are disjoint; those of the weight gradient are to be added up over chunks.
  Dim products() const { return static_cast<Dim>(windows_h_.size() * windows_w_.size()); }

  /// Rows and columns of a product's output, and the depth of its sums.
  struct Size {
    Dim M, N, D;
  };
  Size size(Dim chunk, Dim index) const {
    const auto& [rows, columns] = windows(index);
    const Dim positions = images_in(chunk) * rows.count * columns.count, taps = rows.taps * columns.taps;
    const Dim C = problem_.C_per_group(), K = problem_.K_per_group();
    return pass_ == Pass::weights ? Size{K, taps * C, positions} : Size{C, positions, K * taps};
  }

  /// `copy` is the finished copy of the chunk, if there is one.
  Product product(const Operands& operands, Dim chunk, Dim group, Dim index, const float* copy) const {
    const auto& [rows, columns] = windows(index);
    const Dim N = images_in(chunk), n = first_image(chunk), C = problem_.C_per_group(), K = problem_.K_per_group();
    const Dim top = copies_ ? reach_h_.begin : 0, left = copies_ ? reach_w_.begin : 0;
    const View4<const float> image =
        copies_ ? View4<const float>(padded_view(const_cast<float*>(copy))) : from(operands.input(lowered()), n, 0);
    const Dim row = image.stride[2], column = image.stride[3], channel = image.stride[1];
    const float* const origin = image.data + (rows.offset - top) * row + (columns.offset - left) * column;
    const Axis sliding{{N, rows.count, columns.count}, {image.stride[0], rows.step * row, columns.step * column}};
    const Dim tap_h = rows.dilation * row, tap_w = columns.dilation * column;

    if (pass_ == Pass::weights) {
      const View4<const float> dy = from(operands.dy, n, group * K);
      const View4<float> dw = from(operands.dw, group * K, 0);
      const std::array<Dim, 3> taps{problem_.R, problem_.S, C};
      const Axis outputs{{N, problem_.P, problem_.Q}, {dy.stride[0], dy.stride[2], dy.stride[3]}};
      return {{dy.data, plain_axis(K, dy.stride[1]), outputs},
              {origin + group * C * channel, sliding, {taps, {tap_h, tap_w, channel}}},
              {dw.data, plain_axis(K, dw.stride[0]), {taps, {dw.stride[2], dw.stride[3], dw.stride[1]}}}};
    }
    const View4<const float> w = from(operands.w, group * K, 0);
    const View4<float> dx = from(operands.dx, n, group * C);
    const std::array<Dim, 3> taps{K, rows.taps, columns.taps};
    const Axis filter{taps, {w.stride[0], rows.tap_step * w.stride[2], columns.tap_step * w.stride[3]}};
    const Axis pixels{{N, rows.count, columns.count},
                      {dx.stride[0], rows.first_step * dx.stride[2], columns.first_step * dx.stride[3]}};
    return {{&w(0, 0, rows.first_tap, columns.first_tap), plain_axis(C, w.stride[1]), filter},
            {origin + group * K * channel, {taps, {channel, tap_h, tap_w}}, sliding},
            {&dx(0, 0, rows.first, columns.first), plain_axis(C, dx.stride[1]), pixels}};
  }

 private:
  struct WindowPair {
    const Windows &rows, &columns;
  };
  WindowPair windows(Dim index) const {
    const auto i = static_cast<std::size_t>(index);
    return {windows_h_[i / windows_w_.size()], windows_w_[i % windows_w_.size()]};
  }

  // Copies of up to 8 MB stay in the last-level cache until the products read them; one image is the least.
  static constexpr Dim kCopyFloats = Dim{2} << 20;

  Role lowered() const { return pass_ == Pass::data ? Role::dy : Role::x; }

  // The innermost index of the copy is the one that packed panels run along: columns (r,s,c) of lowered(x), and
  // columns (n,h,w) of lowered(dy).
  //   weights, 2 channels: x00 of c0, x00 of c1, x01 of c0, x01 of c1, ...     data: row 0 of k0, row 1 of k0, ...
  bool channels_last() const { return pass_ == Pass::weights; }

  Dim image_floats() const { return extent_[1] * reach_h_.size() * reach_w_.size(); }

  View4<float> padded_view(float* copy) const {
    const std::array<Dim, 4> extent{images_, extent_[1], reach_h_.size(), reach_w_.size()};
    return {copy, extent, plain_strides(extent, channels_last() ? Layout::nhwc : Layout::nchw)};
  }

  /// The tensor from these first two indices on.
  template <class T>
  static View4<T> from(View4<T> tensor, Dim a, Dim b) {
    tensor.data = &tensor(a, b, 0, 0);
    return tensor;
  }

  Problem problem_;
  Pass pass_;
  std::array<Dim, 4> extent_;  // of the tensor that is lowered
  std::vector<Windows> windows_h_, windows_w_;
  Range reach_h_, reach_w_;
  bool copies_;
  Dim images_ = 1;  // in a chunk
};

}  // namespace convbwd::im2col
