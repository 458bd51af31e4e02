// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string_view>

namespace convbwd {

/// Instruction set a row was compiled for, or the cap given to a library that dispatches by itself. `baseline` is what
/// the compiler emits without flags (SSE2 on x86-64); avx2 includes FMA; avx512 means F, BW, DQ and VL.
enum class Isa { baseline, avx2, avx512, neon };
inline constexpr Isa kIsas[] = {Isa::baseline, Isa::avx2, Isa::avx512, Isa::neon};

std::string_view name(Isa isa);
std::optional<Isa> isa_named(std::string_view name);

/// Whether this CPU and operating system run code compiled for `isa`.
bool cpu_runs(Isa isa);

/// The highest instruction set this CPU runs.
Isa best_isa();

/// Whether code for `isa` may run under the cap: baseline always, otherwise the same family and not above it.
bool within(Isa isa, Isa cap);

}  // namespace convbwd
