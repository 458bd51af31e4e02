// SPDX-License-Identifier: Apache-2.0
#include "onednn/fastest.h"

#include <algorithm>
#include <chrono>
#include <limits>

#include "core/buffer.h"
#include "onednn/plan.h"

namespace convbwd::onednn {
namespace {

struct Candidate {
  std::unique_ptr<OneDnnPlan> plan;
  double seconds = std::numeric_limits<double>::infinity();  // of its fastest run

  bool operator<(const Candidate& other) const { return seconds < other.seconds; }
};

/// Tensors and workspace large enough for each of the candidates, which run on them in turn.
class Course {
 public:
  Course(const std::vector<Candidate>& candidates, const Problem& problem, Pass pass, Layout layout) {
    const auto allocated = [&](auto bytes_of) {
      std::size_t bytes = 0;
      for (const Candidate& candidate : candidates) bytes = std::max(bytes, bytes_of(*candidate.plan));
      Buffer buffer(bytes);
      buffer.fill(std::byte{0x3C});  // small numbers, and memory that is really there
      return buffer;
    };
    for (Role role : {inputs_of(pass)[0], inputs_of(pass)[1], output_of(pass)}) {
      Buffer& tensor = tensors_[static_cast<int>(role)];
      if (layout == Layout::native) {
        tensor = allocated([role](const Plan& plan) { return plan.packed_bytes(role); });
        operands_.packed[static_cast<int>(role)] = tensor.data();
        continue;
      }
      const auto bytes = static_cast<std::size_t>(problem.elements(role)) * sizeof(float);
      tensor = allocated([bytes](const Plan&) { return bytes; });
      const View4<float> view = plain_view(tensor.floats(), problem, role, layout);
      if (role == output_of(pass))
        (pass == Pass::data ? operands_.dx : operands_.dw) = view;
      else
        (role == Role::x ? operands_.x : role == Role::w ? operands_.w : operands_.dy) = view;
    }
    workspace_ = allocated([](const Plan& plan) { return plan.workspace_bytes(); });
  }

  double seconds(const Plan& plan) const {
    const auto start = std::chrono::steady_clock::now();
    plan.execute(operands_, workspace_.bytes());
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }

 private:
  Buffer tensors_[kRoles], workspace_;
  Operands operands_;
};

/// Times the candidates and returns the fastest. The library's own choice, the first, stays unless another is faster by
/// more than such short timings can tell apart.
Candidate& race(std::vector<Candidate>& candidates, const Course& course) {
  constexpr int kMostRounds = 10;
  constexpr double kSeconds = 0.3, kNear = 1.25, kClearly = 0.97;
  double used = 0;
  for (int round = 0; round < kMostRounds; ++round) {
    const double lead = std::min_element(candidates.begin(), candidates.end())->seconds;
    for (Candidate& candidate : candidates) {
      if (round > 0 && (candidate.seconds > kNear * lead || used + candidate.seconds > kSeconds)) continue;
      const double seconds = course.seconds(*candidate.plan);
      candidate.seconds = std::min(candidate.seconds, seconds);
      if (round > 0) used += seconds;
    }
  }
  Candidate& fastest = *std::min_element(candidates.begin(), candidates.end());
  return fastest.seconds < kClearly * candidates.front().seconds ? fastest : candidates.front();
}

}  // namespace

std::unique_ptr<Plan> fastest_plan(const Problem& problem, Pass pass, const PlanOptions& options) {
  const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  std::vector<Kernel> kernels = every_kernel(engine, problem, pass);
  std::vector<Candidate> candidates;
  for (Kernel& kernel : kernels) {
    std::string remark = ", fastest of " + std::to_string(kernels.size()) + " timed by this plan, " + kernel.standing;
    candidates.push_back(
        {std::make_unique<OneDnnPlan>(engine, problem, pass, options, std::move(kernel), std::move(remark))});
  }
  if (candidates.size() == 1) return std::move(candidates.front().plan);
  return std::move(race(candidates, Course(candidates, problem, pass, options.layout)).plan);
}

}  // namespace convbwd::onednn
