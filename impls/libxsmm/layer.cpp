// SPDX-License-Identifier: Apache-2.0
#include "libxsmm/layer.h"

#include <omp.h>

#include <algorithm>
#include <stdexcept>

#include "core/descriptor.h"

namespace convbwd::libxsmm {
namespace {

constexpr libxsmm_dnn_tensor_type kType[kRoles] = {LIBXSMM_DNN_REGULAR_INPUT, LIBXSMM_DNN_REGULAR_FILTER,
                                                   LIBXSMM_DNN_GRADIENT_OUTPUT, LIBXSMM_DNN_GRADIENT_INPUT,
                                                   LIBXSMM_DNN_GRADIENT_FILTER};

/// Whether the library is told of the pads: of layers that keep the size of the image, for which its best loops are.
/// They are wrong for filters of one row over several blocks of channels, at one row or column, and, as all of its
/// lists of blocks, from 1024 taps on.
bool library_pads(const Problem& problem) {
  return problem.R == 2 * problem.pad_top + 1 && problem.S == 2 * problem.pad_left + 1 && problem.stride_h == 1 &&
         problem.stride_w == 1 && problem.P == problem.H && problem.Q == problem.W && problem.R > 1 && problem.P > 1 &&
         problem.Q > 1 && 2 * problem.R * problem.S <= kMostBlocks;
}

libxsmm_dnn_conv_desc describe(const Problem& problem, Pass pass, int threads) {
  const auto integer = [](Dim value) { return static_cast<int>(value); };
  libxsmm_dnn_conv_desc desc{};
  desc.N = integer(problem.N);
  desc.C = integer(problem.C);
  desc.K = integer(problem.K);
  desc.R = integer(problem.R);
  desc.S = integer(problem.S);
  desc.u = integer(problem.stride_h);
  desc.v = integer(problem.stride_w);
  if (library_pads(problem)) {
    desc.H = integer(problem.H);
    desc.W = integer(problem.W);
    desc.pad_h = desc.pad_h_in = integer(problem.pad_top);
    desc.pad_w = desc.pad_w_in = integer(problem.pad_left);
    if (pass == Pass::data) {  // or it takes its general loops
      desc.pad_h_out = desc.pad_h;
      desc.pad_w_out = desc.pad_w;
    }
  } else {
    desc.H = integer(framed_rows(problem));
    desc.W = integer(framed_columns(problem));
  }
  desc.threads = threads;
  desc.datatype_in = desc.datatype_out = LIBXSMM_DNN_DATATYPE_F32;
  desc.buffer_format = desc.filter_format = LIBXSMM_DNN_TENSOR_FORMAT_LIBXSMM;
  desc.algo = LIBXSMM_DNN_CONV_ALGO_DIRECT;
  desc.options = LIBXSMM_DNN_CONV_OPTION_OVERWRITE;
  desc.fuse_ops = LIBXSMM_DNN_CONV_FUSE_NONE;
  return desc;
}

}  // namespace

Layer::Layer(const Problem& problem, Pass pass, int threads)
    : problem_(problem),
      roles_{inputs_of(pass)[0], inputs_of(pass)[1], output_of(pass)},
      // Its threads share out images, and wait for each other in loops: more of them than CPUs would only wait.
      threads_(static_cast<int>(std::min<Dim>({threads, omp_get_num_procs(), problem.N}))),
      kind_(pass == Pass::data ? LIBXSMM_DNN_COMPUTE_KIND_BWD : LIBXSMM_DNN_COMPUTE_KIND_UPD) {
  // With an image for each of many threads it uses tables made for a few machines, and its lists of blocks overflow.
  if (threads_ == problem.N && threads_ > 16) --threads_;
  libxsmm_dnn_err_t status;
  handle_.reset(libxsmm_dnn_create_conv_layer(describe(problem, pass, threads_), &status));
  require(status);
  for (Role role : roles_) add(role);
  scratch_bytes_ = libxsmm_dnn_get_scratch_size(handle_.get(), kind_, &status);
  require(status);
}

void Layer::add(Role role) {
  libxsmm_dnn_err_t status;
  const libxsmm_dnn_tensor_type type = kType[static_cast<int>(role)];
  const std::unique_ptr<libxsmm_dnn_tensor_datalayout, Destroy> layout(
      libxsmm_dnn_create_tensor_datalayout(handle_.get(), type, &status));
  require(status);
  const auto size = [&](int dimension) { return static_cast<Dim>(layout->dim_size[dimension]); };  // innermost first
  if (role == Role::w || role == Role::dw) {
    blocked_[static_cast<int>(role)] = {size(5), size(4), size(3), size(2), size(1), size(0), 0, 0, false};
  } else {
    const auto [N, C, rows, columns] = problem_.shape(role);
    const bool image = role != Role::dy;
    blocked_[static_cast<int>(role)] = {size(4),
                                        size(3),
                                        size(2),
                                        size(1),
                                        1,
                                        size(0),  //
                                        image ? problem_.pad_top : (size(2) - rows) / 2,
                                        image ? problem_.pad_left : (size(1) - columns) / 2,
                                        size(2) != rows || size(1) != columns};
  }
  auto& tensor = tensors_[static_cast<int>(role)];
  tensor.reset(libxsmm_dnn_link_tensor(layout.get(), handle_.get(), &status));  // an address to be replaced
  require(status);
  require(libxsmm_dnn_bind_tensor(handle_.get(), tensor.get(), type));
}

void Layer::require(libxsmm_dnn_err_t status) const {
  if (status != LIBXSMM_DNN_SUCCESS)
    throw std::runtime_error("LIBXSMM " LIBXSMM_VERSION ": " + to_string(problem_) + ": " +
                             libxsmm_dnn_get_error(status));
}

void Layer::execute(const Operands& operands, std::byte* scratch) const {
  for (Role role : roles_)
    require(libxsmm_dnn_set_tensor_data_ptr(tensors_[static_cast<int>(role)].get(), operands.packed_at(role)));
  require(libxsmm_dnn_bind_scratch(handle_.get(), kind_, scratch));
  libxsmm_dnn_err_t worst = LIBXSMM_DNN_SUCCESS;
#pragma omp parallel num_threads(threads_)
  {
    const libxsmm_dnn_err_t status = libxsmm_dnn_execute_st(handle_.get(), kind_, 0, omp_get_thread_num());
    if (status != LIBXSMM_DNN_SUCCESS)
#pragma omp atomic write
      worst = status;
  }
  require(worst);
}

}  // namespace convbwd::libxsmm
