// SPDX-License-Identifier: Apache-2.0
#include "support/threads.h"

#include <link.h>
#include <omp.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <map>
#include <sstream>

#include "core/registry.h"

namespace convbwd::support {
namespace {

constexpr const char* kReexecuted = "CONVBWD_REEXECUTED";

std::string last_pinning = "no: not tried";

std::vector<int> affinity() {
  std::vector<int> cpus;
  // The mask of larger machines than cpu_set_t was made for needs larger sets.
  for (int most = CPU_SETSIZE; most <= 1 << 20; most *= 4) {
    cpu_set_t* set = CPU_ALLOC(static_cast<std::size_t>(most));
    const std::size_t bytes = CPU_ALLOC_SIZE(static_cast<std::size_t>(most));
    const bool read = sched_getaffinity(0, bytes, set) == 0;
    for (int cpu = 0; read && cpu < most; ++cpu)
      if (CPU_ISSET_S(static_cast<std::size_t>(cpu), bytes, set)) cpus.push_back(cpu);
    CPU_FREE(set);
    if (read) break;
  }
  return cpus;
}

/// OpenMP has bound the first thread already, so the mask of the process is to be had from the places.
std::vector<int> places() {
  std::vector<int> cpus;
  for (int place = 0; place < omp_get_num_places(); ++place) {
    std::vector<int> ids(static_cast<std::size_t>(omp_get_place_num_procs(place)));
    omp_get_place_proc_ids(place, ids.data());
    cpus.insert(cpus.end(), ids.begin(), ids.end());
  }
  return cpus;
}

double number(const std::string& text) {
  double value = -1;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

/// quota / period, or 0 where the file says there is none.
double share(const std::string& quota, const std::string& period) {
  return number(quota) > 0 && number(period) > 0 ? number(quota) / number(period) : 0;
}

std::string siblings_of(int cpu, const std::string& root) {
  const std::string topology = root + "/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/";
  const std::string siblings = first_line(topology + "thread_siblings_list");
  return siblings.empty() ? std::to_string(cpu) : siblings;
}

std::string joined(const std::vector<std::string>& words, const char* separator) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : separator) + word;
  return text;
}
std::string joined(const std::vector<int>& numbers, const char* separator) {
  std::vector<std::string> words;
  for (int number : numbers) words.push_back(std::to_string(number));
  return joined(words, separator);
}

std::string variable(const char* name, std::string_view otherwise) {
  const char* value = std::getenv(name);
  return value ? value : std::string(otherwise);
}

}  // namespace

double cgroup_quota(const std::string& root) {
  double least = 0;
  const auto limit = [&least](double cpus) {
    if (cpus > 0 && (least == 0 || cpus < least)) least = cpus;
  };
  std::istringstream lines(text_of(root + "/proc/self/cgroup"));  // hierarchy:controllers:path
  for (std::string line; std::getline(lines, line);) {
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const bool unified = controllers == ",,";
    if (!unified && controllers.find(",cpu,") == std::string::npos) continue;
    // Limits of the parents count too; inside a container the path of the host is often not there, the root is.
    for (std::string path = line.substr(second + 1);; path.erase(path.rfind('/'))) {
      if (path.size() == 1) path.clear();
      if (unified) {
        for (const char* mount : {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"}) {
          std::istringstream words(first_line(root + mount + path + "/cpu.max"));  // "150000 100000" or "max 100000"
          std::string quota, period;
          words >> quota >> period;
          limit(share(quota, period));
        }
      } else {
        for (const char* mount : {"/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"}) {
          const std::string folder = root + mount + path;
          limit(share(first_line(folder + "/cpu.cfs_quota_us"), first_line(folder + "/cpu.cfs_period_us")));
        }
      }
      if (path.empty()) break;
    }
  }
  return least;
}

std::vector<int> usable_cpus(const std::string& root) {
  std::vector<int> cpus = omp_get_num_places() > 0 ? places() : affinity();
  std::map<std::string, int> seen;  // how many of a core's siblings come before
  std::map<int, int> rank;
  for (int cpu : cpus) rank[cpu] = seen[siblings_of(cpu, root)]++;
  std::stable_sort(cpus.begin(), cpus.end(), [&](int a, int b) { return rank[a] < rank[b]; });
  if (const double quota = cgroup_quota(root); quota > 0)
    cpus.resize(std::min(cpus.size(), static_cast<std::size_t>(std::max(quota, 1.0))));
  return cpus;
}

void set_environment_and_reexec(char** argv, Isa cap) {
  if (std::getenv(kReexecuted)) return;
  bool changed = false;
  const auto set = [&changed](const std::string& name, const std::string& value) {
    if (std::getenv(name.c_str())) return;
    setenv(name.c_str(), value.c_str(), 0);
    changed = true;
  };
  if (!std::getenv("OMP_PROC_BIND") && !std::getenv("OMP_PLACES") && !std::getenv("GOMP_CPU_AFFINITY")) {
    set("OMP_PROC_BIND", "close");
    set("OMP_PLACES", "{" + joined(usable_cpus(), "},{") + "}");
  }
  if (cap != best_isa()) {
    for (std::string_view name : implementation_names()) {
      const Implementation* row = best_within(name, cap);
      const std::size_t equals = row ? row->environment.find('=') : std::string_view::npos;
      if (equals == std::string_view::npos) continue;
      set(std::string(row->environment.substr(0, equals)), std::string(row->environment.substr(equals + 1)));
    }
  }
  if (!changed) return;
  setenv(kReexecuted, "1", 1);
  execv("/proc/self/exe", argv);  // returns only if it fails: then everything runs, unpinned, and says so
}

void pin_threads(int threads) {
  std::vector<int> cpu(static_cast<std::size_t>(threads), -1);
#pragma omp parallel num_threads(threads)
  {
    const std::vector<int> mask = affinity();
    cpu[static_cast<std::size_t>(omp_get_thread_num())] = mask.size() == 1 ? mask.front() : -1;
  }
  std::vector<int> sorted = cpu;
  std::sort(sorted.begin(), sorted.end());
  if (sorted.front() < 0)
    last_pinning = "no: threads may move (OMP_PROC_BIND is " + variable("OMP_PROC_BIND", "not set") + ")";
  else if (std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end())
    last_pinning = "no: several threads on one CPU: " + joined(cpu, " ");
  else
    last_pinning = "yes: " + joined(cpu, " ");
}

std::string pinning() { return last_pinning; }

std::vector<std::string> openmp_runtimes() {
  std::vector<std::string> runtimes;
  const auto look = [](dl_phdr_info* library, std::size_t, void* found) {
    const std::string_view path = library->dlpi_name, file = path.substr(path.rfind('/') + 1);
    for (std::string_view known : {"libgomp.", "libomp.", "libiomp5."})
      if (file.starts_with(known)) static_cast<std::vector<std::string>*>(found)->emplace_back(file);
    return 0;
  };
  dl_iterate_phdr(look, &runtimes);
  return runtimes;
}

Facts thread_facts() {
  const double quota = cgroup_quota();
  const std::vector<int> cpus = usable_cpus();
  return {
      {"cores", std::to_string(cpus.size())},
      {"affinity", joined(cpus, " ")},
      {"cpu_quota", quota > 0 ? std::to_string(quota) : "none"},
      {"openmp_runtimes", joined(openmp_runtimes(), " ")},
      {"omp_wait_policy", variable("OMP_WAIT_POLICY", "not set")},
      {"gomp_spincount", variable("GOMP_SPINCOUNT", "not set")},
      {"omp_proc_bind", variable("OMP_PROC_BIND", "not set")},
      {"omp_places", variable("OMP_PLACES", "not set")},
  };
}

}  // namespace convbwd::support
