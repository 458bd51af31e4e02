// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "core/isa.h"
#include "core/problem.h"
#include "core/tensor.h"

namespace convbwd {

/// Yes, or no with a reason: `return no("only 3x3, stride 1")`.
struct Support {
  std::string reason;
  explicit operator bool() const { return reason.empty(); }
};
inline Support yes() { return {}; }
inline Support no(std::string reason) { return {std::move(reason)}; }

/// Arguments of one execution. A role has a plain view, or a packed pointer where the plan has a layout of its own for
/// it; the other is empty. The output (dx or dw) is overwritten, never accumulated into.
struct Operands {
  View4<const float> x, w, dy;
  View4<float> dx, dw;
  std::byte* packed[kRoles] = {};  // by Role, 64-byte aligned

  std::byte* packed_at(Role role) const { return packed[static_cast<int>(role)]; }
  View4<const float> input(Role role) const { return role == Role::x ? x : role == Role::w ? w : dy; }
  View4<float> output(Pass pass) const { return pass == Pass::data ? dx : dw; }
};

/// The decisions for one (Problem, Pass, threads, layout). Immutable after construction, owns no tensors;
/// execute() allocates nothing that grows with the problem and may be called from one thread at a time.
class Plan {
 public:
  virtual ~Plan();

  /// Scratch memory that execute() needs, in bytes; what it holds before and after means nothing.
  virtual std::size_t workspace_bytes() const;

  /// Computes the gradient. `workspace` has at least workspace_bytes() and is 64-byte aligned.
  virtual void execute(const Operands& operands, std::span<std::byte> workspace) const = 0;

  /// Bytes of this role's tensor in the plan's own layout; 0: the plan reads (writes) the plain tensor.
  virtual std::size_t packed_bytes(Role role) const;

  /// Plain tensor to own layout, and back; the view may have any strides.
  virtual void pack(Role role, View4<const float> plain, std::byte* packed) const;
  virtual void unpack(Role role, const std::byte* packed, View4<float> plain) const;

  /// What really runs: library, version and kernel, or the tile that was chosen. May be empty.
  virtual std::string resolved() const;

  /// Names of the stages that execute() times with a StageTimer, for those who ask where the time goes; by default
  /// none.
  virtual std::span<const std::string_view> stages() const;
};

struct PlanOptions {
  int threads = 1;
  Layout layout = Layout::native;
  Isa isa = Isa::baseline;  // the row's own
};

/// One row of the table of contenders; constant-initialised.
struct Implementation {
  std::string_view name;              // <folder> or <folder>_<variant>
  std::string_view idea;              // the one idea it adds, a short phrase
  Isa isa = Isa::baseline;            // instruction set compiled for, or the cap given to a library
  bool threaded = false;              // uses PlanOptions::threads
  bool exact_on_integers = true;      // equal to the oracle bit for bit while no intermediate exceeds 2^24
  double integer_growth = 1;          // intermediates on integers are at most this times sum |a*b|, in units
  double error_constant = 1;          // c of  error <= c * epsilon * sqrt(terms) * sum |a*b|,  measured
  bool mixes_outputs = false;         // an element's error comes from its neighbours' terms too (Winograd): the bound
                                      // is c * epsilon times the largest sum |a*b| that the element's channel could
                                      // have. No root: the transforms' share does not grow with the terms
  bool library = false;               // somebody else's code, a rival rather than one of ours
  bool caps_process = false;          // a library whose instruction set is fixed once per process
  std::string_view environment = {};  // NAME=VALUE to be set before the process starts, for a cap below the CPU's best
  Support (*supports)(const Problem&, Pass) = nullptr;
  std::unique_ptr<Plan> (*plan)(const Problem&, Pass, const PlanOptions&) = nullptr;

  // For a bound of the error that holds for any data, see core/accuracy.h: the same algorithm with the absolute values
  // of its constants, and how many roundings are on the way from the inputs to a result, at most. Where nothing is
  // said, the implementation sums up the definition's products in some order.
  std::unique_ptr<Plan> (*magnitudes)(const Problem&, Pass, const PlanOptions&) = nullptr;
  double (*roundings)(const Problem&, Pass) = nullptr;
};

/// What one folder compiled for one instruction set brings.
struct Rows {
  const Implementation* first;
  std::size_t count;
};

/// Every problem is supported.
Support supports_all(const Problem& problem, Pass pass);

#ifdef CONVBWD_ISA
/// Instruction set this object is compiled for.
inline constexpr Isa kCompiledIsa = Isa::CONVBWD_ISA;
#endif

}  // namespace convbwd

/// Hands a folder's rows to the registry: `namespace convbwd::naive { constexpr Implementation rows[] = {...}; }` and
/// then `CONVBWD_EXPORT_ROWS(convbwd::naive::rows);`. The build compiles a folder once per instruction set, each time
/// with a symbol name of its own, and makes every other symbol of the object local.
#ifdef CONVBWD_ROWS_SYMBOL
#define CONVBWD_EXPORT_ROWS(rows)                     \
  extern "C" const convbwd::Rows CONVBWD_ROWS_SYMBOL; \
  constinit const convbwd::Rows CONVBWD_ROWS_SYMBOL { rows, sizeof(rows) / sizeof(rows[0]) }
#endif
