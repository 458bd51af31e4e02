// SPDX-License-Identifier: Apache-2.0
#include "onednn/plan.h"

#include <algorithm>
#include <unordered_map>

#include "core/buffer.h"

namespace convbwd::onednn {

void Conversion::execute(const dnnl::stream& stream, const void* from, void* to, void* scratch) const {
  const dnnl::engine engine = stream.get_engine();
  run_.execute(stream, {{DNNL_ARG_FROM, memory(from_, engine, const_cast<void*>(from))},
                        {DNNL_ARG_TO, memory(to_, engine, to)},
                        {DNNL_ARG_SCRATCHPAD, memory(scratchpad_, engine, scratch)}});
}

OneDnnPlan::OneDnnPlan(const dnnl::engine& engine, const Problem& problem, Pass pass, const PlanOptions& options,
                       Kernel kernel, std::string remark)
    : problem_(problem),
      pass_(pass),
      threads_(options.threads),
      native_(options.layout == Layout::native),
      roles_{inputs_of(pass)[0], inputs_of(pass)[1], output_of(pass)},
      engine_(engine),
      kernel_(std::move(kernel)),
      remark_(std::move(remark)),
      scratch_bytes_(kernel_.scratchpad.get_size()) {
  for (Role role : roles_) {
    const memory::desc from = plain(problem, role, options.layout);
    if (native_ || from == layout(role)) continue;
    auto& conversion = conversions_[static_cast<int>(role)];
    conversion =
        role == output_of(pass) ? Conversion(engine_, layout(role), from) : Conversion(engine_, from, layout(role));
    scratch_bytes_ = std::max(scratch_bytes_, conversion->scratch_bytes());
  }
}

std::size_t OneDnnPlan::workspace_bytes() const {
  std::size_t bytes = scratch_bytes_;
  for (Role role : roles_)
    if (converted(role)) bytes += aligned(layout(role).get_size());
  return bytes;
}

void OneDnnPlan::pack(Role role, View4<const float> tensor, std::byte* packed) const {
  reorder_once(strided(problem_, role, tensor.stride), layout(role), tensor.data, packed);
}

void OneDnnPlan::unpack(Role role, const std::byte* packed, View4<float> tensor) const {
  reorder_once(layout(role), strided(problem_, role, tensor.stride), packed, tensor.data);
}

void OneDnnPlan::execute(const Operands& operands, std::span<std::byte> workspace) const {
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
    for (Role role : roles_) arguments.emplace(argument(role), bound(role));
    kernel_.run.execute(stream_, arguments);
    const Role out = output_of(pass_);
    convert(out, at[static_cast<int>(out)], plain_data(operands, out));
  });
}

std::string OneDnnPlan::resolved() const {
  std::string text = version() + " " + kernel_.name;
  const char* separator = ", reorders ";
  for (Role role : roles_) {
    if (!converted(role)) continue;
    text += separator + std::string(name(role));
    separator = " ";
  }
  return text + remark_;
}

void* OneDnnPlan::plain_data(const Operands& operands, Role role) const {
  return role == output_of(pass_) ? operands.output(pass_).data : const_cast<float*>(operands.input(role).data);
}

void OneDnnPlan::reorder_once(const memory::desc& from, const memory::desc& to, const void* source,
                              void* destination) const {
  with_words(problem_, [&] {
    const Conversion conversion(engine_, from, to);
    const Buffer scratch(conversion.scratch_bytes());
    conversion.execute(stream_, source, destination, scratch.data());
  });
}

}  // namespace convbwd::onednn
