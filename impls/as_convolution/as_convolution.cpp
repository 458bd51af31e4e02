// SPDX-License-Identifier: Apache-2.0
//
// as_convolution: the backward pass of a convolution is two convolutions, taken literally.
//
//   dL/dw = Conv(x, dL/dy)                 the output gradient is the filter
//   dL/dx = FullConv(rot180(w), dL/dy)     the filter turned by 180 degrees, dy padded by the filter size - 1
//
// The idea: both gradients, and the forward pass, are ONE function, convolve(). All that differs is how the tensors are
// looked at: x[n,c] as c images of n channels, dy[n,k] as k filters of n channels, w read backwards. In general
//   - the forward stride becomes the dilation of dw's convolution, and the forward dilation its stride;
//   - for dx, a stride spreads dy with zeros between its elements;
//   - for dx, dy is padded by dilation * (R - 1) - pad, and cropped where that is negative.
// Memory: dy of one image spread with zeros, where there is a stride. Time: the zeros are multiplied too, so a stride
// of s costs s^2 times the multiply-adds that the definition needs. Precision: sums in float, in plain order.
#include <algorithm>
#include <utility>

#include "core/implementation.h"

namespace convbwd::as_convolution {
namespace {

/// How windows slide over an image. A negative pad crops.
struct Slide {
  Dim stride_h, stride_w;
  Dim dilation_h, dilation_w;
  Dim pad_top, pad_left;
};

/// y[n,k,p,q] = sum over c,r,s of  x[n, c, p * stride_h + r * dilation_h - pad_top, ...] * w[k,c,r,s],  x = 0 outside.
void convolve(View4<const float> x, View4<const float> w, const Slide& slide, View4<float> y) {
  const auto [N, C, H, W] = x.extent;
  const Dim K = w.extent[0], R = w.extent[2], S = w.extent[3], P = y.extent[2], Q = y.extent[3];
  for (Dim n = 0; n < N; ++n)
    for (Dim k = 0; k < K; ++k)
      for (Dim p = 0; p < P; ++p)
        for (Dim q = 0; q < Q; ++q) {
          float sum = 0;
          for (Dim c = 0; c < C; ++c)
            for (Dim r = 0; r < R; ++r) {
              const Dim h = p * slide.stride_h + r * slide.dilation_h - slide.pad_top;
              if (h < 0 || h >= H) continue;
              for (Dim s = 0; s < S; ++s) {
                const Dim wide = q * slide.stride_w + s * slide.dilation_w - slide.pad_left;
                if (wide >= 0 && wide < W) sum += x(n, c, h, wide) * w(k, c, r, s);
              }
            }
          y(n, k, p, q) = sum;
        }
}

/// Elements begin .. begin + count - 1 along one index.
template <class T>
View4<T> slice(View4<T> tensor, std::size_t index, Dim begin, Dim count) {
  tensor.data += begin * tensor.stride[index];
  tensor.extent[index] = count;
  return tensor;
}

/// The first two indices exchanged.
template <class T>
View4<T> transposed(View4<T> tensor) {
  std::swap(tensor.extent[0], tensor.extent[1]);
  std::swap(tensor.stride[0], tensor.stride[1]);
  return tensor;
}

/// The filter read backwards: rot180(w)[.,.,r,s] = w[.,.,R-1-r,S-1-s].
View4<const float> rot180(View4<const float> w) {
  for (std::size_t index : {2, 3}) {
    w.data += (w.extent[index] - 1) * w.stride[index];
    w.stride[index] = -w.stride[index];
  }
  return w;
}

class ConvolutionPlan final : public Plan {
 public:
  ConvolutionPlan(const Problem& problem, Pass pass) : problem_(problem), pass_(pass) {}

  std::size_t workspace_bytes() const override {
    if (pass_ == Pass::weights || !strided()) return 0;
    return static_cast<std::size_t>(problem_.K_per_group() * spread_P() * spread_Q()) * sizeof(float);
  }

  void execute(const Operands& operands, std::span<std::byte> workspace) const override {
    const Dim C = problem_.C_per_group(), K = problem_.K_per_group();
    for (Dim g = 0; g < problem_.G; ++g) {
      const View4<const float> dy = slice(operands.dy, 1, g * K, K);
      if (pass_ == Pass::weights)
        weight_gradient(slice(operands.x, 1, g * C, C), dy, slice(operands.dw, 0, g * K, K));
      else
        for (Dim n = 0; n < problem_.N; ++n)
          data_gradient(slice(dy, 0, n, 1), slice(operands.w, 0, g * K, K),
                        slice(slice(operands.dx, 0, n, 1), 1, g * C, C), reinterpret_cast<float*>(workspace.data()));
    }
  }

 private:
  /// dw = Conv(x, dy)
  void weight_gradient(View4<const float> x, View4<const float> dy, View4<float> dw) const {
    const Slide exchanged{problem_.dilation_h, problem_.dilation_w, problem_.stride_h,
                          problem_.stride_w,   problem_.pad_top,    problem_.pad_left};
    convolve(transposed(x), transposed(dy), exchanged, transposed(dw));
  }

  /// dx = FullConv(rot180(w), dy)
  void data_gradient(View4<const float> dy, View4<const float> w, View4<float> dx, float* spread) const {
    const Slide full{1,
                     1,
                     problem_.dilation_h,
                     problem_.dilation_w,
                     problem_.dilation_h * (problem_.R - 1) - problem_.pad_top,
                     problem_.dilation_w * (problem_.S - 1) - problem_.pad_left};
    convolve(strided() ? spread_with_zeros(dy, spread) : dy, transposed(rot180(w)), full, dx);
  }

  /// dy of one image with stride - 1 zeros between its elements.
  ///   stride 2:   a b      a 0 b
  ///               c d  ->  0 0 0
  ///                        c 0 d
  View4<const float> spread_with_zeros(View4<const float> dy, float* memory) const {
    const Dim K = dy.extent[1], rows = spread_P(), columns = spread_Q();
    const View4<float> spread{memory, {1, K, rows, columns}, {K * rows * columns, rows * columns, columns, 1}};
    std::fill_n(memory, spread.size(), 0.0f);
    for (Dim k = 0; k < K; ++k)
      for (Dim p = 0; p < problem_.P; ++p)
        for (Dim q = 0; q < problem_.Q; ++q)
          spread(0, k, p * problem_.stride_h, q * problem_.stride_w) = dy(0, k, p, q);
    return spread;
  }

  bool strided() const { return problem_.stride_h > 1 || problem_.stride_w > 1; }
  Dim spread_P() const { return (problem_.P - 1) * problem_.stride_h + 1; }
  Dim spread_Q() const { return (problem_.Q - 1) * problem_.stride_w + 1; }

  Problem problem_;
  Pass pass_;
};

std::unique_ptr<Plan> plan(const Problem& problem, Pass pass, const PlanOptions&) {
  return std::make_unique<ConvolutionPlan>(problem, pass);
}

constexpr Implementation rows[] = {{
    .name = "as_convolution",
    .idea = "dw = Conv(x, dy), dx = FullConv(rot180(w), dy): one forward convolution for both",
    .isa = kCompiledIsa,
    .error_constant = 1.25,  // measured: 0.66 on random problems (sums of two terms), 0.37 on sizes of ResNet-50
    .supports = supports_all,
    .plan = plan,
}};

}  // namespace
}  // namespace convbwd::as_convolution

CONVBWD_EXPORT_ROWS(convbwd::as_convolution::rows);
