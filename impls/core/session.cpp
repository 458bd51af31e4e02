// SPDX-License-Identifier: Apache-2.0
#include "core/session.h"

#include <algorithm>
#include <cassert>
#include <chrono>
#include <limits>

#include "core/stage_clock.h"

namespace convbwd {
namespace {

constexpr std::size_t kCacheLine = 64;
constexpr int kStageRuns = 3;

void flush_line([[maybe_unused]] const std::byte* line) {
#if defined(__x86_64__)
  __builtin_ia32_clflush(line);
#elif defined(__aarch64__)
  asm volatile("dc civac, %0" ::"r"(line) : "memory");
#endif
}

void flush_fence() {
#if defined(__x86_64__)
  __builtin_ia32_mfence();
#elif defined(__aarch64__)
  asm volatile("dsb sy" ::: "memory");
#endif
}

}  // namespace

Session::Session(const Implementation& implementation, const Problem& problem, Pass pass, const PlanOptions& options,
                 std::size_t offset)
    : implementation_(&implementation), problem_(problem), pass_(pass), options_(options) {
  options_.isa = implementation.isa;
  plan_ = implementation.plan(problem, pass, options_);
  assert(options.layout == Layout::native || plan_->packed_bytes(output_of(pass)) == 0);
  const auto allocate = [&](Role role) {
    tensor(role).plain = Buffer(static_cast<std::size_t>(problem.elements(role)) * sizeof(float), offset);
    if (const std::size_t bytes = plan_->packed_bytes(role)) {
      tensor(role).packed = Buffer(bytes);
      operands_.packed[static_cast<int>(role)] = tensor(role).packed.data();
    }
  };
  for (Role role : inputs_of(pass)) {
    allocate(role);
    if (tensor(role).packed.size()) continue;
    (role == Role::x ? operands_.x : role == Role::w ? operands_.w : operands_.dy) = plain(role);
  }
  allocate(output_of(pass));
  if (!tensor(output_of(pass)).packed.size())
    (pass == Pass::data ? operands_.dx : operands_.dw) = plain(output_of(pass));
  workspace_ = Buffer(plan_->workspace_bytes());
}

View4<float> Session::plain(Role role) const {
  return plain_view(tensor(role).plain.floats(), problem_, role, options_.layout);
}

View4<float> Session::input(Role role) { return plain(role); }
View4<const float> Session::input(Role role) const { return plain(role); }

void Session::prepare() {
  const auto start = std::chrono::steady_clock::now();
  for (Role role : inputs_of(pass_))
    if (const Tensor& in = tensor(role); in.packed.size()) plan_->pack(role, plain(role), in.packed.data());
  pack_seconds_ = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  for (Role role : inputs_of(pass_)) {
    Tensor& in = tensor(role);
    in.checksum = (in.packed.size() ? in.packed : in.plain).checksum();
  }
  const Tensor& out = tensor(output_of(pass_));
  out.plain.fill(std::byte{0xFF});  // every float becomes a NaN
  out.packed.fill(std::byte{0xFF});
  workspace_.fill(std::byte{0xA5});
}

void Session::execute() { plan_->execute(operands_, workspace_.bytes()); }

std::vector<double> Session::stage_seconds() {
  const std::size_t stages = plan_->stages().size();
  std::vector<double> least(stages, std::numeric_limits<double>::infinity());
  for (int run = 0; stages && run < kStageRuns; ++run) {
    const StageClock clock(stages);
    execute();
    for (std::size_t i = 0; i < stages; ++i) least[i] = std::min(least[i], clock.seconds()[i]);
  }
  return least;
}

View4<const float> Session::output() {
  const Role role = output_of(pass_);
  if (tensor(role).packed.size()) plan_->unpack(role, tensor(role).packed.data(), plain(role));
  return plain(role);
}

std::array<const Buffer*, 7> Session::buffers() const {
  const Role in0 = inputs_of(pass_)[0], in1 = inputs_of(pass_)[1], out = output_of(pass_);
  return {&tensor(in0).plain,  &tensor(in1).plain,  &tensor(out).plain, &tensor(in0).packed,
          &tensor(in1).packed, &tensor(out).packed, &workspace_};
}

std::string Session::damage() const {
  for (const Buffer* buffer : buffers())
    if (std::string what = buffer->damage(); !what.empty())
      return what + (buffer == &workspace_ ? " (workspace)" : " (tensor)");
  for (Role role : inputs_of(pass_)) {
    const Tensor& in = tensor(role);
    if ((in.packed.size() ? in.packed : in.plain).checksum() != in.checksum)
      return "input " + std::string(name(role)) + " was changed";
  }
  return {};
}

void Session::evict() const {
  for (const Buffer* buffer : buffers())
    for (std::size_t at = 0; at < buffer->size(); at += kCacheLine) flush_line(buffer->data() + at);
  flush_fence();
}

std::size_t Session::tensor_bytes() const {
  std::size_t bytes = 0;
  for (Role role : {inputs_of(pass_)[0], inputs_of(pass_)[1], output_of(pass_)})
    bytes += static_cast<std::size_t>(problem_.elements(role)) * sizeof(float);
  return bytes;
}

}  // namespace convbwd
