// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "core/buffer.h"
#include "core/implementation.h"

namespace convbwd {

/// One plan and every buffer of its run. Tests and benchmarks call plans only through it, so they cannot disagree on
/// how that is done:  fill input() -> prepare() -> execute() as often as wanted -> output().
class Session {
 public:
  /// Plans and allocates. Throws what the plan throws (a library's failure), or std::bad_alloc. `offset` moves the
  /// plain tensors off their 64-byte alignment by that many bytes (a multiple of 4).
  Session(const Implementation& implementation, const Problem& problem, Pass pass, const PlanOptions& options,
          std::size_t offset = 0);

  const Implementation& implementation() const { return *implementation_; }
  const Problem& problem() const { return problem_; }
  Pass pass() const { return pass_; }
  const PlanOptions& options() const { return options_; }
  const Plan& plan() const { return *plan_; }

  /// Plain tensors the pass reads (inputs_of), to be filled by the caller; strides are those of the layout.
  View4<float> input(Role role);
  View4<const float> input(Role role) const;

  /// Packs the inputs (where the plan has a layout of its own), turns the output into NaN and the workspace into 0xA5.
  void prepare();

  /// Runs the plan; the only thing a clock should be around.
  void execute();

  /// Seconds that one execution spends in each of the plan's stages, the least of a few; empty for a plan without any.
  std::vector<double> stage_seconds();

  /// The plain gradient, unpacked on each call where the plan has a layout of its own.
  View4<const float> output();

  /// What a correct plan never does: guards overwritten, inputs changed since prepare(). Empty: nothing.
  std::string damage() const;

  /// Tensors and workspace out of every cache, as they are in a training step.
  void evict() const;

  /// How long the last prepare() packed.
  double pack_seconds() const { return pack_seconds_; }

  std::size_t workspace_bytes() const { return workspace_.size(); }
  std::size_t tensor_bytes() const;  // what one execution must read and write at least

 private:
  struct Tensor {
    Buffer plain, packed;
    std::size_t checksum = 0;
  };
  Tensor& tensor(Role role) { return tensors_[static_cast<int>(role)]; }
  const Tensor& tensor(Role role) const { return tensors_[static_cast<int>(role)]; }
  View4<float> plain(Role role) const;
  std::array<const Buffer*, 7> buffers() const;

  const Implementation* implementation_;
  Problem problem_;
  Pass pass_;
  PlanOptions options_;
  std::unique_ptr<Plan> plan_;
  Tensor tensors_[kRoles];
  Buffer workspace_;
  Operands operands_;
  double pack_seconds_ = 0;
};

}  // namespace convbwd
