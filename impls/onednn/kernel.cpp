// SPDX-License-Identifier: Apache-2.0
#include "onednn/kernel.h"

#include <algorithm>
#include <optional>

namespace convbwd::onednn {
namespace {

/// Extents, with w and dw as G, K/G, C/G, R, S where there are groups.
memory::dims dims_of(const Problem& problem, Role role) {
  const auto extent = problem.shape(role);
  memory::dims dims(extent.begin(), extent.end());
  if (problem.G > 1 && (role == Role::w || role == Role::dw)) {
    dims[0] = problem.K_per_group();
    dims.insert(dims.begin(), problem.G);
  }
  return dims;
}

memory::desc any(const Problem& problem, Role role) {
  return {dims_of(problem, role), memory::data_type::f32, memory::format_tag::any};
}

/// The library's list of kernels, best guess first, one at a time: for activations in a layout, or for any.
class Offer {
 public:
  Offer(const dnnl::engine& engine, const Problem& problem, Pass pass, std::optional<Layout> activations)
      : pass_(pass), where_(activations ? " for " + std::string(convbwd::name(*activations)) : "") {
    const auto activation = [&](Role role) {
      return activations ? plain(problem, role, *activations) : any(problem, role);
    };
    constexpr auto algorithm = dnnl::algorithm::convolution_direct;
    const memory::dims strides{problem.stride_h, problem.stride_w};
    const memory::dims dilates{problem.dilation_h - 1, problem.dilation_w - 1};
    const memory::dims before{problem.pad_top, problem.pad_left}, after{problem.pad_bottom(), problem.pad_right()};
    const memory::desc x = activation(Role::x), dy = activation(Role::dy), w = any(problem, Role::w);
    hint_ = {engine, dnnl::prop_kind::forward_training, algorithm, x, w, dy, strides, dilates, before, after};
    if (pass == Pass::data)
      offered_ = dnnl::convolution_backward_data::primitive_desc(engine, algorithm, x, w, dy, strides, dilates, before,
                                                                 after, hint_, attributes());
    else
      offered_ = dnnl::convolution_backward_weights::primitive_desc(engine, algorithm, x, w, dy, strides, dilates,
                                                                    before, after, hint_, attributes());
  }

  bool next() {
    ++rank_;
    return offered_.next_impl();
  }

  std::string name() const { return offered_.impl_info_str(); }

  Kernel kernel() const {
    Kernel kernel{dnnl::primitive(offered_), {}, offered_.scratchpad_desc(), name(), {}};
    for (Role role : {inputs_of(pass_)[0], inputs_of(pass_)[1], output_of(pass_)})
      kernel.layout[static_cast<int>(role)] = offered_.query_md(dnnl::query::exec_arg_md, argument(role));
    kernel.standing = "number " + std::to_string(rank_) + " of the library's order" + where_;
    return kernel;
  }

 private:
  dnnl::convolution_forward::primitive_desc hint_;  // next_impl() looks at it again
  dnnl::primitive_desc offered_;
  Pass pass_;
  std::string where_;
  int rank_ = 1;
};

/// Reference loops, a lowering to matrix multiplication, or a kernel made for convolution.
int speed_class(const std::string& name) {
  const auto has = [&](const char* word) { return name.find(word) != std::string::npos; };
  return has("ref") ? 0 : has("gemm") ? 1 : 2;
}

bool same(const Kernel& a, const Kernel& b) {
  return a.name == b.name && std::equal(std::begin(a.layout), std::end(a.layout), std::begin(b.layout));
}

}  // namespace

memory::desc strided(const Problem& problem, Role role, const std::array<Dim, 4>& stride) {
  memory::dims strides(stride.begin(), stride.end());
  const memory::dims dims = dims_of(problem, role);
  if (dims.size() == 5) strides.insert(strides.begin(), problem.K_per_group() * stride[0]);
  return {dims, memory::data_type::f32, strides};
}

memory::desc plain(const Problem& problem, Role role, Layout layout) {
  return strided(problem, role, plain_strides(problem.shape(role), layout));
}

dnnl::primitive_attr attributes() {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  attributes.set_fpmath_mode(dnnl::fpmath_mode::strict);  // an environment variable could allow bf16
  return attributes;
}

int argument(Role role) {
  constexpr int arguments[kRoles] = {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DIFF_DST, DNNL_ARG_DIFF_SRC,
                                     DNNL_ARG_DIFF_WEIGHTS};
  return arguments[static_cast<int>(role)];
}

Kernel preferred_kernel(const dnnl::engine& engine, const Problem& problem, Pass pass, Layout layout) {
  const Offer free(engine, problem, pass, std::nullopt);
  if (layout != Layout::nhwc) return free.kernel();
  const Offer kept(engine, problem, pass, layout);
  return speed_class(kept.name()) >= speed_class(free.name()) ? kept.kernel() : free.kernel();
}

std::vector<Kernel> every_kernel(const dnnl::engine& engine, const Problem& problem, Pass pass) {
  std::vector<Kernel> kernels;
  for (const std::optional<Layout> activations : {std::optional<Layout>(), std::optional(Layout::nhwc)}) {
    Offer offer(engine, problem, pass, activations);
    do {
      if (speed_class(offer.name()) == 0 && !kernels.empty()) continue;  // the library lists them last
      Kernel kernel = offer.kernel();
      if (std::none_of(kernels.begin(), kernels.end(), [&](const Kernel& known) { return same(known, kernel); }))
        kernels.push_back(std::move(kernel));
    } while (offer.next());
  }
  return kernels;
}

}  // namespace convbwd::onednn
