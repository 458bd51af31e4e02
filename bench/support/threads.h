// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "core/isa.h"
#include "support/text.h"

namespace convbwd::support {

// Threads are OpenMP's, and it is OpenMP that puts each on a CPU of its own (OMP_PROC_BIND, OMP_PLACES). A
// sched_setaffinity of ours would not last: libgomp ends threads that a smaller team does not need, and the ones it
// starts later inherit the CPU of the first. The variables count only when set before the process starts, so a program
// sets what is missing and starts itself again. The wait policy stays libgomp's own: idle threads spin for some
// milliseconds, which keeps a parallel implementation hot between its loops, and then sleep, which leaves a serial one
// alone on the machine. `active` would disturb the second, `passive` slow down the first.

// Files of the system are looked for below `root`, which tests replace.

/// CPUs that this process may keep busy at the same time: its affinity mask, cut to the whole CPUs of its cgroup's
/// quota. One CPU of every physical core comes first, then their siblings.
std::vector<int> usable_cpus(const std::string& root = "");

/// CPUs' worth of time per second that the cgroups (v1 or v2) of this process grant, or 0 for no limit.
double cgroup_quota(const std::string& root = "");

/// Sets, where the user has not, the variables that bind threads to CPUs, and those that rows of the registry ask for
/// under a cap below what the CPU could do (Implementation::environment); if any was missing, executes the program
/// again, once. Returns otherwise. Call it first in main: OpenMP is not to be used before.
void set_environment_and_reexec(char** argv, Isa cap);

/// Brings OpenMP's team of this size up, and looks where its threads are.
void pin_threads(int threads);

/// What pin_threads found: "yes: 0 1" (the CPU of each thread), or "no: " and why.
std::string pinning();

/// File names of the OpenMP runtimes in this process. Each has threads of its own, which spin while another's work, so
/// where there are several, times of threaded rows mean little.
std::vector<std::string> openmp_runtimes();

/// openmp_runtimes, omp_wait_policy, omp_proc_bind, omp_places, gomp_spincount, affinity, cpu_quota, cores.
Facts thread_facts();

}  // namespace convbwd::support
