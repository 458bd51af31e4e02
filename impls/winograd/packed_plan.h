// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "core/implementation.h"
#include "core/team.h"
#include "winograd/stages.h"

namespace convbwd::winograd {

/// What the plans of both passes have in common: the layouts, the parts of the filter (a dense filter of stride 1 is
/// one), and who works on which group: all threads together on one after the other, or each thread on its own where
/// there are enough of them.
class PackedPlan : public Plan {
 public:
  std::size_t workspace_bytes() const override;
  std::size_t packed_bytes(Role role) const override;
  void pack(Role role, View4<const float> plain, std::byte* packed) const override;
  void unpack(Role role, const std::byte* packed, View4<float> plain) const override;
  void execute(const Operands& operands, std::span<std::byte> workspace) const override;
  std::string resolved() const override;
  std::span<const std::string_view> stages() const override { return kStageNames; }

 protected:
  PackedPlan(const Problem& problem, Pass pass, int threads, Layout layout, Family family);

  /// The tensors of one group. `wide` and `taps`, or `narrow`, are the inputs.
  struct Tensors {
    float *wide, *narrow, *taps;
  };

  /// Floats of workspace that a team needs.
  virtual Dim workspace_floats() const = 0;
  /// How a part is computed, in words.
  virtual std::string described(std::size_t part) const = 0;
  /// Writes the zeros that no part does.
  virtual void clear(const Operands& operands, Team team) const = 0;
  /// One of the steps() of a group, which use the workspace one after the other: the team meets between them.
  virtual void run(std::size_t step, const Tensors& tensors, float* workspace, Team team) const = 0;
  virtual std::size_t steps() const = 0;

  float* tensor(const Operands& operands, Role role) const;
  int team_size() const { return groups_apart_ ? 1 : threads_; }

  const Problem problem_;
  const Pass pass_;
  const int threads_;
  const Layout images_;  // plain nhwc, read and written in place, or native
  ImageLayout wide_, narrow_;
  FilterLayout filters_;
  std::vector<AxisTiling> rows_, columns_;  // the filter's parts along each axis
  std::vector<Tiling> parts_;               // every one of rows_ with every one of columns_

 private:
  const ImageLayout& image(Role role) const;

  bool groups_apart_;
};

/// visit(block, piece) for this thread's share of `blocks` times the pieces of `rows`, each of at most `most`.
template <class Visit>
void for_each_piece(Team team, Dim blocks, Range rows, Dim most, Visit visit) {
  const Parts pieces = parts_of_at_most(most, rows.size());
  const Range share = team.share(blocks * pieces.count);
  for (Dim i = share.begin; i < share.end; ++i) {
    const Range piece = pieces.part(i % pieces.count);
    visit(i / pieces.count, Range{rows.begin + piece.begin, rows.begin + piece.end});
  }
}

/// Tiles of a run of the weight gradient, at least; of several runs each has more than half as many.
inline constexpr Dim kLeastRunTiles = 32;

std::unique_ptr<Plan> data_plan(const Problem& problem, int threads, Layout layout, Family family);
std::unique_ptr<Plan> weights_plan(const Problem& problem, int threads, Layout layout, Family family);

}  // namespace convbwd::winograd
