// SPDX-License-Identifier: Apache-2.0
#include "core/isa.h"

namespace convbwd {

std::string_view name(Isa isa) {
  switch (isa) {
    case Isa::baseline:
      return "baseline";
    case Isa::avx2:
      return "avx2";
    case Isa::avx512:
      return "avx512";
    case Isa::neon:
      break;
  }
  return "neon";
}

std::optional<Isa> isa_named(std::string_view wanted) {
  for (Isa isa : kIsas)
    if (name(isa) == wanted) return isa;
  return std::nullopt;
}

bool cpu_runs(Isa isa) {
  switch (isa) {
    case Isa::baseline:
      return true;
#if defined(__x86_64__)
    case Isa::avx2:
      return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    case Isa::avx512:
#if defined(CONVBWD_LOWERED)
      return cpu_runs(Isa::avx2);
#else
      return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
             __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") && cpu_runs(Isa::avx2);
#endif
    case Isa::neon:
      return false;
#else
    case Isa::avx2:
    case Isa::avx512:
      return false;
    case Isa::neon:
      return true;  // part of every aarch64
#endif
  }
  return false;
}

Isa best_isa() {
  Isa best = Isa::baseline;
  for (Isa isa : kIsas)
    if (cpu_runs(isa)) best = isa;
  return best;
}

bool within(Isa isa, Isa cap) { return isa == Isa::baseline || isa == cap || (isa == Isa::avx2 && cap == Isa::avx512); }

}  // namespace convbwd
