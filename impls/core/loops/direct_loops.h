// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>

#include "core/implementation.h"
#include "core/loops/lines.h"
#include "core/ranges.h"

// The definition's loops in an order that suits the memory. Two changes:
//   - the innermost loop runs along what is contiguous: pixels of a row in nchw, channels of a pixel in nhwc;
//   - which output a product belongs to, and whether it lies in the image, is decided outside it, once a line.
// The output is cut into parts that share nothing, each computed from start to end on its own: a serial row does them
// one after the other, a parallel one all at once.
//
//            innermost     a line is                     part of the output
//   dx nchw  q             row p of dy, row h of dx      2 channels of an image
//   dx nhwc  c             a filter tap, a pixel of dx   a row of an image
//   dw nchw  q (a sum)     row p of dy, row h of x       4 filters x 2 channels
//   dw nhwc  c             a pixel of x, a filter tap    8 filters x 1 filter row
//
// Include it only in code that is compiled for one instruction set; everything here is inline.
namespace convbwd::loops {

class DirectLoops {
 public:
  DirectLoops(const Problem& problem, Pass pass) : problem_(problem), pass_(pass) {}

  /// Number of parts the output is cut into.
  Dim parts(const Operands& operands) const {
    const Problem& o = problem_;
    if (pass_ == Pass::data) return along_channels(operands) ? o.N * o.H : o.N * o.G * pairs();
    return o.G * (along_channels(operands) ? ceil_div(K(), kFilters) * o.R : ceil_div(K(), 4) * pairs());
  }

  void compute(const Operands& operands, Dim part) const {
    if (pass_ == Pass::data)
      along_channels(operands) ? data_along_channels(operands, part) : data_along_rows(operands, part);
    else
      along_channels(operands) ? weights_along_channels(operands, part) : weights_along_rows(operands, part);
  }

 private:
  // Filters of a part of dw in nhwc: a row of x, once in L1, is used for 8 / 2 passes of add_lines.
  static constexpr Dim kFilters = 8;

  // Fewer channels than this in a group, and even strided rows of pixels are the longer lines.
  static constexpr Dim kFewChannels = 8;

  Dim C() const { return problem_.C_per_group(); }
  Dim K() const { return problem_.K_per_group(); }
  Dim pairs() const { return ceil_div(C(), 2); }

  bool along_channels(const Operands& operands) const {
    const Dim in = pass_ == Pass::data ? operands.w.stride[1] : operands.x.stride[1];
    return C() >= kFewChannels && in == 1 && operands.output(pass_).stride[1] == 1;
  }

  /// Output columns q whose pixel w_of(q, s) lies in the image.
  Range columns_inside(Dim s) const {
    return outputs_inside(problem_.W, problem_.Q, problem_.stride_w, problem_.w_of(0, s));
  }

  bool row_inside(Dim h) const { return h >= 0 && h < problem_.H; }

  void data_along_rows(const Operands& operands, Dim part) const {
    const View4<const float> dy = operands.dy, w = operands.w;
    const View4<float> dx = operands.dx;
    const Dim n = part / pairs() / problem_.G, g = part / pairs() % problem_.G, pair = part % pairs() * 2;
    in_blocks<2>(pair, std::min(pair + 2, C()), [&]<int outs>(Dim c) {
      for (Dim o = 0; o < outs; ++o)
        for (Dim h = 0; h < problem_.H; ++h)
          for (Dim wide = 0; wide < problem_.W; ++wide) dx(n, g * C() + c + o, h, wide) = 0;
      in_blocks<4>(g * K(), (g + 1) * K(), [&]<int ins>(Dim k) {
        for (Dim r = 0; r < problem_.R; ++r)
          for (Dim s = 0; s < problem_.S; ++s) {
            const Range q = columns_inside(s);
            float factor[outs][ins];
            for (int o = 0; o < outs; ++o)
              for (int i = 0; i < ins; ++i) factor[o][i] = w(k + i, c + o, r, s);
            for (Dim p = 0; p < problem_.P; ++p) {
              const Dim h = problem_.h_of(p, r);
              if (!row_inside(h)) continue;
              const float* in[ins];
              float* out[outs];
              for (int i = 0; i < ins; ++i) in[i] = &dy(n, k + i, p, q.begin);
              for (int o = 0; o < outs; ++o) out[o] = &dx(n, g * C() + c + o, h, problem_.w_of(q.begin, s));
              add_lines<outs, ins>(q.size(), factor, in, dy.stride[3], out, dx.stride[3] * problem_.stride_w);
            }
          }
      });
    });
  }

  void data_along_channels(const Operands& operands, Dim part) const {
    const View4<const float> dy = operands.dy, w = operands.w;
    const View4<float> dx = operands.dx;
    const Dim n = part / problem_.H, h = part % problem_.H;
    for (Dim wide = 0; wide < problem_.W; ++wide)
      for (Dim c = 0; c < problem_.C; ++c) dx(n, c, h, wide) = 0;
    for (Dim r = 0; r < problem_.R; ++r) {
      const Dim reach = h + problem_.pad_top - r * problem_.dilation_h, p = reach / problem_.stride_h;
      if (reach < 0 || reach % problem_.stride_h != 0 || p >= problem_.P) continue;
      for (Dim g = 0; g < problem_.G; ++g)
        for (Dim s = 0; s < problem_.S; ++s) {
          const Range columns = columns_inside(s);
          in_blocks<4>(g * K(), (g + 1) * K(), [&]<int ins>(Dim k) {
            const float* in[ins];
            for (int i = 0; i < ins; ++i) in[i] = &w(k + i, 0, r, s);
            in_blocks<2>(columns.begin, columns.end, [&]<int outs>(Dim q) {
              float factor[outs][ins];
              float* out[outs];
              for (int o = 0; o < outs; ++o) {
                for (int i = 0; i < ins; ++i) factor[o][i] = dy(n, k + i, p, q + o);
                out[o] = &dx(n, g * C(), h, problem_.w_of(q + o, s));
              }
              add_lines<outs, ins>(C(), factor, in, 1, out, 1);
            });
          });
        }
    }
  }

  void weights_along_rows(const Operands& operands, Dim part) const {
    const View4<const float> dy = operands.dy, x = operands.x;
    const View4<float> dw = operands.dw;
    const Dim quads = ceil_div(K(), 4), g = part / pairs() / quads;
    const Dim k = g * K() + part / pairs() % quads * 4, c = part % pairs() * 2;
    const Dim filters = std::min<Dim>(4, (g + 1) * K() - k), channels = std::min<Dim>(2, C() - c);
    const Dim x_stride = x.stride[3] * problem_.stride_w;
    for (Dim r = 0; r < problem_.R; ++r)
      for (Dim s = 0; s < problem_.S; ++s) {
        const Range q = columns_inside(s);
        float total[2][4] = {};
        for (Dim n = 0; n < problem_.N; ++n) {
          float sum[2][4] = {};
          for (Dim p = 0; p < problem_.P; ++p) {
            const Dim h = problem_.h_of(p, r);
            if (!row_inside(h) || q.size() == 0) continue;
            const float *image[2], *gradient[4];
            for (Dim i = 0; i < channels; ++i) image[i] = &x(n, g * C() + c + i, h, problem_.w_of(q.begin, s));
            for (Dim m = 0; m < filters; ++m) gradient[m] = &dy(n, k + m, p, q.begin);
            if (channels == 2 && filters == 4) {
              add_dots(q.size(), image, x_stride, gradient, dy.stride[3], sum);
            } else {
              for (Dim i = 0; i < channels; ++i)
                for (Dim m = 0; m < filters; ++m)
                  sum[i][m] += dot(q.size(), image[i], x_stride, gradient[m], dy.stride[3]);
            }
          }
          for (int i = 0; i < 2; ++i)
            for (int m = 0; m < 4; ++m) total[i][m] += sum[i][m];
        }
        for (Dim i = 0; i < channels; ++i)
          for (Dim m = 0; m < filters; ++m) dw(k + m, c + i, r, s) = total[i][m];
      }
  }

  void weights_along_channels(const Operands& operands, Dim part) const {
    const View4<const float> dy = operands.dy, x = operands.x;
    const View4<float> dw = operands.dw;
    const Dim blocks = ceil_div(K(), kFilters), r = part % problem_.R, g = part / problem_.R / blocks;
    const Dim k_begin = g * K() + part / problem_.R % blocks * kFilters;
    const Dim k_end = std::min(k_begin + kFilters, (g + 1) * K());
    for (Dim k = k_begin; k < k_end; ++k)
      for (Dim s = 0; s < problem_.S; ++s)
        for (Dim c = 0; c < C(); ++c) dw(k, c, r, s) = 0;
    for (Dim n = 0; n < problem_.N; ++n)
      for (Dim p = 0; p < problem_.P; ++p) {
        const Dim h = problem_.h_of(p, r);
        if (!row_inside(h)) continue;
        for (Dim s = 0; s < problem_.S; ++s) {
          const Range columns = columns_inside(s);
          in_blocks<2>(k_begin, k_end, [&]<int outs>(Dim k) {
            float* out[outs];
            for (int o = 0; o < outs; ++o) out[o] = &dw(k + o, 0, r, s);
            in_blocks<4>(columns.begin, columns.end, [&]<int ins>(Dim q) {
              float factor[outs][ins];
              const float* in[ins];
              for (int i = 0; i < ins; ++i) {
                for (int o = 0; o < outs; ++o) factor[o][i] = dy(n, k + o, p, q + i);
                in[i] = &x(n, g * C(), h, problem_.w_of(q + i, s));
              }
              add_lines<outs, ins>(C(), factor, in, 1, out, 1);
            });
          });
        }
      }
  }

  Problem problem_;
  Pass pass_;
};

}  // namespace convbwd::loops
