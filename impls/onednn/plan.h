// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <optional>
#include <string>

#include "onednn/kernel.h"
#include "onednn/library.h"

namespace convbwd::onednn {

/// The way of a tensor from one layout to another.
class Conversion {
 public:
  Conversion(const dnnl::engine& engine, const memory::desc& from, const memory::desc& to)
      : Conversion(dnnl::reorder::primitive_desc(engine, from, engine, to, attributes())) {}

  std::size_t scratch_bytes() const { return scratchpad_.get_size(); }
  void execute(const dnnl::stream& stream, const void* from, void* to, void* scratch) const;

 private:
  explicit Conversion(const dnnl::reorder::primitive_desc& chosen)
      : run_(chosen), from_(chosen.src_desc()), to_(chosen.dst_desc()), scratchpad_(chosen.scratchpad_desc()) {}

  dnnl::reorder run_;
  memory::desc from_, to_, scratchpad_;
};

/// One kernel and the reorders around it.
// Workspace:  | reordered dy | reordered x or w | dx or dw before it is reordered | scratchpad, shared in turn |
class OneDnnPlan final : public Plan {
 public:
  /// `remark`: what resolved() says of the choice.
  OneDnnPlan(const dnnl::engine& engine, const Problem& problem, Pass pass, const PlanOptions& options, Kernel kernel,
             std::string remark = {});

  std::size_t workspace_bytes() const override;
  std::size_t packed_bytes(Role role) const override { return native_ ? layout(role).get_size() : 0; }
  void pack(Role role, View4<const float> tensor, std::byte* packed) const override;
  void unpack(Role role, const std::byte* packed, View4<float> tensor) const override;
  void execute(const Operands& operands, std::span<std::byte> workspace) const override;
  std::string resolved() const override;

 private:
  const memory::desc& layout(Role role) const { return kernel_.layout[static_cast<int>(role)]; }
  bool converted(Role role) const { return conversions_[static_cast<int>(role)].has_value(); }
  void* plain_data(const Operands& operands, Role role) const;
  void reorder_once(const memory::desc& from, const memory::desc& to, const void* source, void* destination) const;

  Problem problem_;
  Pass pass_;
  int threads_;
  bool native_;
  std::array<Role, 3> roles_;
  dnnl::engine engine_;
  dnnl::stream stream_{engine_};
  Kernel kernel_;
  std::string remark_;
  std::optional<Conversion> conversions_[kRoles];
  std::size_t scratch_bytes_ = 0;
};

}  // namespace convbwd::onednn
