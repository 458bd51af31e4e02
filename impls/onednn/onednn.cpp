// SPDX-License-Identifier: Apache-2.0
//
// onednn: Intel's library, the opponent. One row an instruction set, which is a cap here: the library picks its kernels
// at run time, and dnnl_set_max_cpu_isa keeps it from picking better ones.
//
// native: every tensor in the layout that the kernel asks for (format_tag::any), packed by the library's own reorder.
// nchw: the same choice; every tensor whose plain form is not what the kernel asks for is reordered inside execute().
// nhwc: activations stay as they are, unless `any` brings a better kind of kernel. This is what frameworks do.
//
// Only algorithm::convolution_direct (no Winograd) and strict float arithmetic, so integers come out exactly.
// Memory: the library's scratchpad and the reordered tensors, all in our workspace. Kernel and version: resolved().
// Reference: E. Georganas et al., "Anatomy of high-performance deep learning convolutions on SIMD architectures",
// SC 2018; https://uxlfoundation.github.io/oneDNN/

#include <algorithm>
#include <dnnl.hpp>
#include <optional>
#include <unordered_map>

#include "core/buffer.h"
#include "core/implementation.h"
#include "onednn/library.h"

namespace convbwd::onednn {
namespace {

using dnnl::memory;

constexpr int kArgument[kRoles] = {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DIFF_DST, DNNL_ARG_DIFF_SRC,
                                   DNNL_ARG_DIFF_WEIGHTS};

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

/// A plain tensor.
memory::desc strided(const Problem& problem, Role role, const std::array<Dim, 4>& stride) {
  memory::dims strides(stride.begin(), stride.end());
  const memory::dims dims = dims_of(problem, role);
  if (dims.size() == 5) strides.insert(strides.begin(), problem.K_per_group() * stride[0]);
  return {dims, memory::data_type::f32, strides};
}

memory::desc plain(const Problem& problem, Role role, Layout layout) {
  return strided(problem, role, plain_strides(problem.shape(role), layout));
}

memory::desc any(const Problem& problem, Role role) {
  return {dims_of(problem, role), memory::data_type::f32, memory::format_tag::any};
}

dnnl::primitive_attr attributes() {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  attributes.set_fpmath_mode(dnnl::fpmath_mode::strict);  // an environment variable could allow bf16
  return attributes;
}

/// A convolution primitive and the layouts it asks for, by role.
struct Kernel {
  dnnl::primitive run;
  memory::desc layout[kRoles];
  memory::desc scratchpad;
  std::string name;
};

Kernel kernel(const dnnl::engine& engine, const Problem& problem, Pass pass, const memory::desc& x,
              const memory::desc& dy) {
  constexpr auto algorithm = dnnl::algorithm::convolution_direct;
  const memory::dims strides{problem.stride_h, problem.stride_w};
  const memory::dims dilates{problem.dilation_h - 1, problem.dilation_w - 1};
  const memory::dims before{problem.pad_top, problem.pad_left}, after{problem.pad_bottom(), problem.pad_right()};
  const memory::desc w = any(problem, Role::w);
  const dnnl::convolution_forward::primitive_desc hint(engine, dnnl::prop_kind::forward_training, algorithm, x, w, dy,
                                                       strides, dilates, before, after);
  Kernel kernel;
  if (pass == Pass::data) {
    const dnnl::convolution_backward_data::primitive_desc chosen(engine, algorithm, x, w, dy, strides, dilates, before,
                                                                 after, hint, attributes());
    kernel.run = dnnl::convolution_backward_data(chosen);
    kernel.layout[static_cast<int>(Role::w)] = chosen.weights_desc();
    kernel.layout[static_cast<int>(Role::dy)] = chosen.diff_dst_desc();
    kernel.layout[static_cast<int>(Role::dx)] = chosen.diff_src_desc();
    kernel.scratchpad = chosen.scratchpad_desc();
    kernel.name = chosen.impl_info_str();
  } else {
    const dnnl::convolution_backward_weights::primitive_desc chosen(engine, algorithm, x, w, dy, strides, dilates,
                                                                    before, after, hint, attributes());
    kernel.run = dnnl::convolution_backward_weights(chosen);
    kernel.layout[static_cast<int>(Role::x)] = chosen.src_desc();
    kernel.layout[static_cast<int>(Role::dy)] = chosen.diff_dst_desc();
    kernel.layout[static_cast<int>(Role::dw)] = chosen.diff_weights_desc();
    kernel.scratchpad = chosen.scratchpad_desc();
    kernel.name = chosen.impl_info_str();
  }
  return kernel;
}

/// Reference loops, a lowering to matrix multiplication, or a kernel made for convolution.
int speed_class(const Kernel& kernel) {
  const auto has = [&](const char* word) { return kernel.name.find(word) != std::string::npos; };
  return has("ref") ? 0 : has("gemm") ? 1 : 2;
}

Kernel kernel_for(const dnnl::engine& engine, const Problem& problem, Pass pass, Layout layout) {
  Kernel free = kernel(engine, problem, pass, any(problem, Role::x), any(problem, Role::dy));
  if (layout != Layout::nhwc) return free;
  Kernel kept = kernel(engine, problem, pass, plain(problem, Role::x, layout), plain(problem, Role::dy, layout));
  return speed_class(kept) >= speed_class(free) ? kept : free;
}

/// The way of a tensor from one layout to another.
class Conversion {
 public:
  Conversion(const dnnl::engine& engine, const memory::desc& from, const memory::desc& to)
      : Conversion(dnnl::reorder::primitive_desc(engine, from, engine, to, attributes())) {}

  std::size_t scratch_bytes() const { return scratchpad_.get_size(); }

  void execute(const dnnl::stream& stream, const void* from, void* to, void* scratch) const {
    const dnnl::engine engine = stream.get_engine();
    run_.execute(stream, {{DNNL_ARG_FROM, memory(from_, engine, const_cast<void*>(from))},
                          {DNNL_ARG_TO, memory(to_, engine, to)},
                          {DNNL_ARG_SCRATCHPAD, memory(scratchpad_, engine, scratch)}});
  }

 private:
  explicit Conversion(const dnnl::reorder::primitive_desc& chosen)
      : run_(chosen), from_(chosen.src_desc()), to_(chosen.dst_desc()), scratchpad_(chosen.scratchpad_desc()) {}

  dnnl::reorder run_;
  memory::desc from_, to_, scratchpad_;
};

// Workspace:  | reordered dy | reordered x or w | dx or dw before it is reordered | scratchpad, shared in turn |
class OneDnnPlan final : public Plan {
 public:
  OneDnnPlan(const Problem& problem, Pass pass, const PlanOptions& options)
      : problem_(problem),
        pass_(pass),
        threads_(options.threads),
        native_(options.layout == Layout::native),
        roles_{inputs_of(pass)[0], inputs_of(pass)[1], output_of(pass)} {
    const ThreadsScope scope(threads_);
    kernel_ = kernel_for(engine_, problem, pass, options.layout);
    scratch_bytes_ = kernel_.scratchpad.get_size();
    for (Role role : roles_) {
      const memory::desc from = plain(problem, role, options.layout);
      if (native_ || from == layout(role)) continue;
      auto& conversion = conversions_[static_cast<int>(role)];
      conversion =
          role == output_of(pass) ? Conversion(engine_, layout(role), from) : Conversion(engine_, from, layout(role));
      scratch_bytes_ = std::max(scratch_bytes_, conversion->scratch_bytes());
    }
  }

  std::size_t workspace_bytes() const override {
    std::size_t bytes = scratch_bytes_;
    for (Role role : roles_)
      if (converted(role)) bytes += aligned(layout(role).get_size());
    return bytes;
  }

  std::size_t packed_bytes(Role role) const override { return native_ ? layout(role).get_size() : 0; }

  void pack(Role role, View4<const float> tensor, std::byte* packed) const override {
    reorder_once(strided(problem_, role, tensor.stride), layout(role), tensor.data, packed);
  }

  void unpack(Role role, const std::byte* packed, View4<float> tensor) const override {
    reorder_once(layout(role), strided(problem_, role, tensor.stride), packed, tensor.data);
  }

  void execute(const Operands& operands, std::span<std::byte> workspace) const override {
    const ThreadsScope scope(threads_);
    with_words(problem_, [&] {
      void* at[kRoles] = {};
      std::byte* free = workspace.data();
      for (Role role : roles_) {
        at[static_cast<int>(role)] = native_ ? operands.packed_at(role) : plain_data(operands, role);
        if (!converted(role)) continue;
        at[static_cast<int>(role)] = free;
        free += aligned(layout(role).get_size());
      }
      const auto bound = [&](Role role) { return memory(layout(role), engine_, at[static_cast<int>(role)]); };
      const auto convert = [&](Role role, const void* from, void* to) {
        if (converted(role)) conversions_[static_cast<int>(role)]->execute(stream_, from, to, free);
      };
      for (Role role : inputs_of(pass_)) convert(role, plain_data(operands, role), at[static_cast<int>(role)]);
      std::unordered_map<int, memory> arguments{{DNNL_ARG_SCRATCHPAD, memory(kernel_.scratchpad, engine_, free)}};
      for (Role role : roles_) arguments.emplace(kArgument[static_cast<int>(role)], bound(role));
      kernel_.run.execute(stream_, arguments);
      const Role out = output_of(pass_);
      convert(out, at[static_cast<int>(out)], plain_data(operands, out));
    });
  }

  std::string resolved() const override {
    std::string text = version() + " " + kernel_.name;
    const char* separator = ", reorders ";
    for (Role role : roles_) {
      if (!converted(role)) continue;
      text += separator + std::string(name(role));
      separator = " ";
    }
    return text;
  }

 private:
  const memory::desc& layout(Role role) const { return kernel_.layout[static_cast<int>(role)]; }
  bool converted(Role role) const { return conversions_[static_cast<int>(role)].has_value(); }

  void* plain_data(const Operands& operands, Role role) const {
    return role == output_of(pass_) ? operands.output(pass_).data : const_cast<float*>(operands.input(role).data);
  }

  void reorder_once(const memory::desc& from, const memory::desc& to, const void* source, void* destination) const {
    with_words(problem_, [&] {
      const Conversion conversion(engine_, from, to);
      const Buffer scratch(conversion.scratch_bytes());
      conversion.execute(stream_, source, destination, scratch.data());
    });
  }

  Problem problem_;
  Pass pass_;
  int threads_;
  bool native_;
  std::array<Role, 3> roles_;
  dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream_{engine_};
  Kernel kernel_;
  std::optional<Conversion> conversions_[kRoles];
  std::size_t scratch_bytes_ = 0;
};

Support supports(const Problem& problem, Pass) {
  if (problem.pad_bottom() <= -problem.stride_h) return no("oneDNN refuses a whole stride of unused rows");
  if (problem.pad_right() <= -problem.stride_w) return no("oneDNN refuses a whole stride of unused columns");
  return yes();
}

std::unique_ptr<Plan> plan(const Problem& problem, Pass pass, const PlanOptions& options) {
  cap_process(options.isa);
  return with_words(problem, [&] { return std::make_unique<OneDnnPlan>(problem, pass, options); });
}

constexpr Implementation row(Isa cap) {
  return {
      .name = "onednn",
      .idea = "the vendor's library, its own choice of kernel and layout",
      .isa = cap,
      .threaded = true,
      .library = true,
      .caps_process = true,
      .supports = supports,
      .plan = plan,
  };
}

#if defined(__x86_64__)
constexpr Implementation rows[] = {row(Isa::baseline), row(Isa::avx2), row(Isa::avx512)};
#else
constexpr Implementation rows[] = {row(kCompiledIsa)};
#endif

}  // namespace
}  // namespace convbwd::onednn

CONVBWD_EXPORT_ROWS(convbwd::onednn::rows);
