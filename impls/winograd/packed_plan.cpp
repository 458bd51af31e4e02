// SPDX-License-Identifier: Apache-2.0
#include "winograd/packed_plan.h"

#include <algorithm>

namespace convbwd::winograd {
namespace {

bool is_filter(Role role) { return role == Role::w || role == Role::dw; }

/// The image whose tiles overlap, and the one whose tiles do not (tiling.h).
Role wide_role(Pass pass) { return pass == Pass::data ? Role::dy : Role::x; }
Role narrow_role(Pass pass) { return pass == Pass::data ? Role::dx : Role::dy; }

template <class T>
View4<T> filters_of_group(View4<T> filters, Dim group, Dim K) {
  filters.data += group * K * filters.stride[0];
  filters.extent[0] = K;
  return filters;
}

}  // namespace

PackedPlan::PackedPlan(const Problem& problem, Pass pass, int threads, Layout layout, Family family)
    : problem_(problem),
      pass_(pass),
      threads_(threads),
      images_(layout == Layout::nhwc && simd::has_full_blocks(problem) ? Layout::nhwc : Layout::native),
      wide_(simd::image_layout(problem, wide_role(pass), images_)),
      narrow_(simd::image_layout(problem, narrow_role(pass), images_)),
      filters_{problem.G, problem.K_per_group(), problem.C_per_group(), problem.R, problem.S},
      rows_(tilings_of(rows_of(problem), pass, family)),
      columns_(tilings_of(columns_of(problem), pass, family)),
      groups_apart_(problem.G >= 2 * threads) {
  for (const AxisTiling& rows : rows_)
    for (const AxisTiling& columns : columns_) parts_.emplace_back(rows, columns, problem.N);
}

std::size_t PackedPlan::workspace_bytes() const {
  return static_cast<std::size_t>(workspace_floats() * (groups_apart_ ? threads_ : 1)) * sizeof(float);
}

const ImageLayout& PackedPlan::image(Role role) const { return role == wide_role(pass_) ? wide_ : narrow_; }

std::size_t PackedPlan::packed_bytes(Role role) const {
  if (images_ == Layout::nhwc && !is_filter(role)) return 0;
  const Dim floats = is_filter(role) ? filters_.floats() : image(role).floats();
  return static_cast<std::size_t>(floats) * sizeof(float);
}

void PackedPlan::pack(Role role, View4<const float> plain, std::byte* packed) const {
  float* const to = reinterpret_cast<float*>(packed);
  if (!is_filter(role)) return image(role).pack(plain, to, threads_);
  for (Dim g = 0; g < filters_.G; ++g) {
    float* const group = to + g * filters_.group();
    simd::pack_channels(filters_of_group(plain, g, filters_.K), group, {filters_.filter(), filters_.block()}, threads_);
    for (Dim block = 0; block < blocks_of(filters_.C); ++block)
      std::fill(group + block * filters_.block() + filters_.K * filters_.filter(),
                group + (block + 1) * filters_.block(), 0.0f);
  }
}

void PackedPlan::unpack(Role role, const std::byte* packed, View4<float> plain) const {
  const float* const from = reinterpret_cast<const float*>(packed);
  if (!is_filter(role)) return narrow_.unpack(from, plain, threads_);
  for (Dim g = 0; g < filters_.G; ++g)
    simd::unpack_channels(from + g * filters_.group(), filters_of_group(plain, g, filters_.K),
                          {filters_.filter(), filters_.block()}, threads_);
}

float* PackedPlan::tensor(const Operands& operands, Role role) const {
  if (packed_bytes(role) > 0) return reinterpret_cast<float*>(operands.packed_at(role));
  return role == Role::dx ? operands.dx.data : const_cast<float*>(operands.input(role).data);  // inputs are only read
}

void PackedPlan::execute(const Operands& operands, std::span<std::byte> workspace) const {
  const Tensors tensors{tensor(operands, wide_role(pass_)), tensor(operands, narrow_role(pass_)),
                        tensor(operands, pass_ == Pass::data ? Role::w : Role::dw)};
#pragma omp parallel num_threads(threads_)
  {
    const Team all = Team::all(), team = groups_apart_ ? Team::alone() : all;
    const Range groups = groups_apart_ ? all.share(problem_.G) : Range{0, problem_.G};
    float* const own = reinterpret_cast<float*>(workspace.data()) + (groups_apart_ ? all.rank * workspace_floats() : 0);
    clear(operands, all);
    all.barrier();
    for (Dim g = groups.begin; g < groups.end; ++g)
      for (std::size_t step = 0; step < steps(); ++step) {
        run(step,
            {tensors.wide + g * wide_.group, tensors.narrow + g * narrow_.group, tensors.taps + g * filters_.group()},
            own, team);
        team.barrier();  // the workspace is used again
      }
  }
}

std::string PackedPlan::resolved() const {
  std::string text;
  for (std::size_t part = 0; part < parts_.size(); ++part) {
    const Tiling& at = parts_[part];
    const auto tile = [](const AxisTiling& axis) {
      return "F(" + std::to_string(axis.size[0]->outputs) + "," + std::to_string(axis.algorithm->taps) + ")";
    };
    text += (part ? "; " : "") + tile(at.rows()) + "x" + tile(at.columns()) + ", " + described(part);
  }
  return text;
}

}  // namespace convbwd::winograd
