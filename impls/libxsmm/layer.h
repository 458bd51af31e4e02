// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <libxsmm.h>

#include <algorithm>
#include <array>
#include <memory>

#include "core/implementation.h"

namespace convbwd::libxsmm {

/// Its lists of blocks to multiply have this many places, which it does not check.
inline constexpr Dim kMostBlocks = 1024;

/// Extents of the image in a frame that holds all windows. Where the library is given it as an image without pads, any
/// pads are possible.
inline Dim framed_rows(const Problem& problem) {
  return problem.pad_top + problem.H + std::max<Dim>(0, problem.pad_bottom());
}
inline Dim framed_columns(const Problem& problem) {
  return problem.pad_left + problem.W + std::max<Dim>(0, problem.pad_right());
}

/// A tensor in the library's layout: channels in blocks, a block's channels innermost, images in a frame of zeros.
///     activations   N, channel blocks, rows, columns, channels of a block
///     filters       K blocks, C blocks, R, S, C of a block, K of a block
struct Blocked {
  Dim outer, blocks, rows, columns;  // extents
  Dim inner, block;                  // inner: of filters only, else 1
  Dim top, left;                     // width of the frame above and left of the image
  bool framed;                       // on any side

  std::size_t bytes() const {
    return static_cast<std::size_t>(outer * blocks * rows * columns * inner * block) * sizeof(float);
  }
};

/// The library's handle for one convolution, its tensors and its scratchpad.
class Layer {
 public:
  Layer(const Problem& problem, Pass pass, int threads);

  const Blocked& blocked(Role role) const { return blocked_[static_cast<int>(role)]; }
  std::size_t scratch_bytes() const { return scratch_bytes_; }

  /// The tensors are where the operands' packed pointers say.
  void execute(const Operands& operands, std::byte* scratch) const;

 private:
  struct Destroy {
    void operator()(libxsmm_dnn_layer* layer) const { libxsmm_dnn_destroy_conv_layer(layer); }
    void operator()(libxsmm_dnn_tensor* tensor) const { libxsmm_dnn_destroy_tensor(tensor); }
    void operator()(libxsmm_dnn_tensor_datalayout* layout) const { libxsmm_dnn_destroy_tensor_datalayout(layout); }
  };

  void add(Role role);
  /// Throws unless the library was content; tells the layer and the library's words.
  void require(libxsmm_dnn_err_t status) const;

  Problem problem_;
  std::array<Role, 3> roles_;
  int threads_;
  libxsmm_dnn_compute_kind kind_;
  std::unique_ptr<libxsmm_dnn_layer, Destroy> handle_;
  std::unique_ptr<libxsmm_dnn_tensor, Destroy> tensors_[kRoles];
  Blocked blocked_[kRoles];
  std::size_t scratch_bytes_ = 0;
};

}  // namespace convbwd::libxsmm
