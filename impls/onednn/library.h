// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <dnnl_debug.h>
#include <omp.h>

#include <dnnl.hpp>
#include <optional>
#include <stdexcept>
#include <string>

#include "core/descriptor.h"
#include "core/isa.h"

namespace convbwd::onednn {

inline std::string version() {
  const dnnl_version_t* v = dnnl_version();
  return "oneDNN " + std::to_string(v->major) + "." + std::to_string(v->minor) + "." + std::to_string(v->patch);
}

/// Runs a piece of work on the library; what fails there is told with the layer and the library's words.
template <class Work>
auto with_words(const Problem& problem, Work work) {
  try {
    return work();
  } catch (const dnnl::error& error) {
    throw std::runtime_error(version() + ": " + to_string(problem) + ": " + error.what() + " (" +
                             dnnl_status2str(error.status) + ")");
  }
}

/// The library fixes its instruction set with the first primitive of the process.
inline void cap_process([[maybe_unused]] Isa cap) {
#if defined(__x86_64__)
  static std::optional<Isa> fixed;
  if (fixed == cap) return;
  if (fixed)
    throw std::runtime_error(version() + " is capped at " + std::string(name(*fixed)) + " in this process, " +
                             std::string(name(cap)) + " needs another one");
  const auto level = cap == Isa::baseline ? dnnl_cpu_isa_sse41
                     : cap == Isa::avx2   ? dnnl_cpu_isa_avx2
                                          : dnnl_cpu_isa_avx512_core;
  if (const dnnl_status_t status = dnnl_set_max_cpu_isa(level); status != dnnl_success)
    throw std::runtime_error(version() + " refuses to be capped at " + std::string(name(cap)) + " (" +
                             dnnl_status2str(status) + "): something used it before in this process");
  fixed = cap;
#endif
}

/// The library takes its number of threads from OpenMP's setting, both when it plans and when it runs.
class ThreadsScope {
 public:
  explicit ThreadsScope(int threads) : before_(omp_get_max_threads()) { omp_set_num_threads(threads); }
  ~ThreadsScope() { omp_set_num_threads(before_); }
  ThreadsScope(const ThreadsScope&) = delete;
  ThreadsScope& operator=(const ThreadsScope&) = delete;

 private:
  int before_;
};

}  // namespace convbwd::onednn
