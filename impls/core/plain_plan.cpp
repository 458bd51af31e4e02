// SPDX-License-Identifier: Apache-2.0
#include "core/plain_plan.h"

#include "core/buffer.h"

namespace convbwd {
namespace {

// Workspace:  | packed input 0 | packed input 1 | packed output | workspace of the inner plan |
class PackingPlan final : public Plan {
 public:
  PackingPlan(std::unique_ptr<Plan> inner, Pass pass) : inner_(std::move(inner)), pass_(pass) {}

  std::size_t workspace_bytes() const override {
    std::size_t bytes = aligned(inner_->packed_bytes(output_of(pass_))) + inner_->workspace_bytes();
    for (Role role : inputs_of(pass_)) bytes += aligned(inner_->packed_bytes(role));
    return bytes;
  }

  void execute(const Operands& plain, std::span<std::byte> workspace) const override {
    Operands operands = plain;
    std::byte* free = workspace.data();
    const auto place = [&](Role role) {
      const std::size_t bytes = inner_->packed_bytes(role);
      operands.packed[static_cast<int>(role)] = bytes ? free : nullptr;
      free += aligned(bytes);
      return bytes != 0;
    };
    for (Role role : inputs_of(pass_))
      if (place(role)) inner_->pack(role, plain.input(role), operands.packed_at(role));
    const Role out = output_of(pass_);
    const bool packed_output = place(out);
    inner_->execute(operands, workspace.subspan(static_cast<std::size_t>(free - workspace.data())));
    if (packed_output) inner_->unpack(out, operands.packed_at(out), plain.output(pass_));
  }

  std::string resolved() const override { return inner_->resolved(); }
  std::span<const std::string_view> stages() const override { return inner_->stages(); }

 private:
  std::unique_ptr<Plan> inner_;
  Pass pass_;
};

}  // namespace

std::unique_ptr<Plan> packing_inside(std::unique_ptr<Plan> inner, Pass pass) {
  return std::make_unique<PackingPlan>(std::move(inner), pass);
}

}  // namespace convbwd
