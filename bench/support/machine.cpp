// SPDX-License-Identifier: Apache-2.0
#include "support/machine.h"

#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <sstream>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "core/isa.h"
#include "support/sha256.h"
#include "support/threads.h"

namespace convbwd::support {
namespace {

struct Cpu {
  std::string model, vendor, family_model_stepping, hypervisor;
};

#if defined(__x86_64__)

std::string trimmed(const std::string& text) {
  const std::size_t begin = text.find_first_not_of(' ');
  return begin == std::string::npos ? "" : text.substr(begin, text.find_last_not_of(' ') - begin + 1);
}

/// Registers as text, up to the first NUL.
std::string characters(std::initializer_list<unsigned> registers) {
  std::string text;
  for (unsigned value : registers) text.append(reinterpret_cast<const char*>(&value), sizeof value);
  return trimmed(text.c_str());
}

std::string hypervisor(unsigned features) {
  constexpr unsigned kRunsUnderHypervisor = 1u << 31;
  if (!(features & kRunsUnderHypervisor)) return "none";
  unsigned a = 0, b = 0, c = 0, d = 0;
  __cpuid(0x40000000, a, b, c, d);
  const std::string signature = characters({b, c, d});
  for (const auto& [known, name] : {std::pair{"KVMKVMKVM", "KVM"},
                                    {"Microsoft Hv", "Hyper-V"},
                                    {"VMwareVMware", "VMware"},
                                    {"XenVMMXenVMM", "Xen"},
                                    {"TCGTCGTCGTCG", "QEMU (emulated)"},
                                    {"bhyve bhyve ", "bhyve"}})
    if (signature == trimmed(known)) return name;
  return signature.empty() ? "some hypervisor" : signature;
}

/// From the CPU itself: under emulation /proc/cpuinfo tells of the host.
Cpu cpu() {
  Cpu cpu;
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid(0, &a, &b, &c, &d)) return cpu;
  cpu.vendor = characters({b, d, c});
  if (__get_cpuid(1, &a, &b, &c, &d)) {
    const unsigned base_family = a >> 8 & 15, base_model = a >> 4 & 15;
    const unsigned family = base_family == 15 ? 15 + (a >> 20 & 255) : base_family;
    const unsigned model = base_family == 6 || base_family == 15 ? base_model + (a >> 16 & 15) * 16 : base_model;
    cpu.family_model_stepping = std::to_string(family) + "/" + std::to_string(model) + "/" + std::to_string(a & 15);
    cpu.hypervisor = hypervisor(c);
  }
  for (unsigned leaf = 0x80000002; leaf <= 0x80000004; ++leaf)
    if (__get_cpuid(leaf, &a, &b, &c, &d))
      cpu.model +=
          std::string(reinterpret_cast<const char*>(&a), 4) + std::string(reinterpret_cast<const char*>(&b), 4) +
          std::string(reinterpret_cast<const char*>(&c), 4) + std::string(reinterpret_cast<const char*>(&d), 4);
  cpu.model = trimmed(cpu.model.c_str());
  return cpu;
}

#else

Cpu cpu() {
  const std::string info = text_of("/proc/cpuinfo");
  Cpu cpu;
  cpu.model = value_of(info, "model name");
  cpu.vendor = value_of(info, "CPU implementer");
  const std::string part = value_of(info, "CPU part");
  if (cpu.model.empty() && !part.empty()) cpu.model = "implementer " + cpu.vendor + ", part " + part;
  if (!part.empty())
    cpu.family_model_stepping = part + "/" + value_of(info, "CPU variant") + "/" + value_of(info, "CPU revision");
  cpu.hypervisor = first_line("/sys/hypervisor/type");
  return cpu;
}

#endif

bool exists(const char* file) { return access(file, F_OK) == 0; }

std::string virtualisation(const std::string& hypervisor) {
  const bool container = exists("/.dockerenv") || exists("/run/.containerenv") || exists("/run/systemd/container");
  return or_unknown(hypervisor) + (container ? ", in a container" : "");
}

/// The word in brackets: "always [madvise] never".
std::string chosen(const std::string& line) {
  const std::size_t begin = line.find('['), end = line.find(']');
  return begin == std::string::npos || end == std::string::npos ? "" : line.substr(begin + 1, end - begin - 1);
}

std::string unquoted(std::string text) {
  std::erase_if(text, [](char c) { return c == '"' || c == '='; });
  return text;
}

std::string boost() {
  if (const std::string on = first_line("/sys/devices/system/cpu/cpufreq/boost"); !on.empty())
    return on == "1" ? "on" : "off";
  if (const std::string off = first_line("/sys/devices/system/cpu/intel_pstate/no_turbo"); !off.empty())
    return off == "1" ? "off" : "on";
  return {};
}

std::string size_text(std::size_t bytes) { return bytes ? std::to_string(bytes) : ""; }

double steal_now() {
  std::istringstream fields(value_of(text_of("/proc/stat"), "cpu "));  // user nice system idle iowait irq softirq steal
  double ticks = 0;
  for (int field = 0; field < 8; ++field) fields >> ticks;
  return fields ? ticks / static_cast<double>(sysconf(_SC_CLK_TCK)) : 0;
}

/// Seconds that the CPUs this process may use were busy, for whomever.
double busy_now() {
  const std::string stat = text_of("/proc/stat");
  double ticks = 0;
  for (int cpu : usable_cpus()) {
    std::istringstream fields(value_of(stat, "cpu" + std::to_string(cpu) + " "));
    for (double user_nice_system = 0, field = 0; field < 3 && fields >> user_nice_system; ++field)
      ticks += user_nice_system;
  }
  return ticks / static_cast<double>(sysconf(_SC_CLK_TCK));
}

/// Seconds of CPU that this process has used.
double own_now() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double clock_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

long switches_now() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_nivcsw;
}

}  // namespace

Caches caches() {
  Caches caches;
  for (int index = 0; index < 16; ++index) {
    const std::string folder = "/sys/devices/system/cpu/cpu0/cache/index" + std::to_string(index) + "/";
    const std::string level = first_line(folder + "level");
    if (level.empty()) break;
    if (first_line(folder + "type") == "Instruction") continue;
    const std::size_t bytes = bytes_in(first_line(folder + "size"));
    if (level == "1") caches.l1 = bytes;
    if (level == "2") caches.l2 = bytes;
    if (level == "3") {
      caches.l3 = bytes;
      const auto sharing = numbers_in(first_line(folder + "shared_cpu_list")).size();
      caches.l3_shared_by = sharing ? static_cast<int>(sharing) : 1;
    }
  }
  return caches;
}

Facts machine_facts() {
  const Cpu cpu_found = cpu();
  const Caches cache = caches();
  utsname kernel{};
  uname(&kernel);
  double load[3] = {};
  const bool has_load = getloadavg(load, 3) == 3;
  const long pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);
  Facts facts = {
      {"cpu_model", cpu_found.model},
      {"cpu_vendor", cpu_found.vendor},
      {"cpu_family_model_stepping", cpu_found.family_model_stepping},
      {"microcode", value_of(text_of("/proc/cpuinfo"), "microcode")},
      {"isa_best", std::string(name(best_isa()))},
      {"cache_l1d_bytes", size_text(cache.l1)},
      {"cache_l2_bytes", size_text(cache.l2)},
      {"cache_l3_bytes", size_text(cache.l3)},
      {"cache_l3_shared_by", cache.l3 ? std::to_string(cache.l3_shared_by) : ""},
      {"memory_bytes", pages > 0 ? std::to_string(static_cast<long long>(pages) * page_bytes) : ""},
      {"numa_nodes", first_line("/sys/devices/system/node/online")},
      {"smt", first_line("/sys/devices/system/cpu/smt/active")},
      {"kernel", std::string(kernel.sysname) + " " + kernel.release + " " + kernel.machine},
      {"os", unquoted(value_of(text_of("/etc/os-release"), "PRETTY_NAME"))},
      {"governor", first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")},
      {"boost", boost()},
      {"max_khz", first_line("/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq")},
      {"virtualisation", virtualisation(cpu_found.hypervisor)},
      {"thp", chosen(first_line("/sys/kernel/mm/transparent_hugepage/enabled"))},
      {"load_1min", has_load ? std::to_string(load[0]) : ""},
  };
  for (auto& [key, value] : facts) value = or_unknown(value);
  return facts;
}

Facts all_facts() {
  Facts all = machine_facts();
  for (const Facts& more : {thread_facts(), build_facts()}) all.insert(all.end(), more.begin(), more.end());
  all.emplace_back("binary_sha256", sha256(text_of("/proc/self/exe")));
  return all;
}

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &parts));
  return text;
}

Disturbance::Disturbance()
    : steal_(steal_now()), switches_(switches_now()), busy_(busy_now()), own_(own_now()), start_(clock_now()) {}
double Disturbance::steal_seconds() const { return steal_now() - steal_; }
long Disturbance::involuntary_switches() const { return switches_now() - switches_; }

std::string Disturbance::others() const {
  constexpr double kMostCpus = 0.1, kTicks = 0.1;  // the kernel counts in hundredths of a second
  const double seconds = clock_now() - start_, others = busy_now() - busy_ - (own_now() - own_);
  if (others <= kMostCpus * seconds + kTicks) return {};
  char text[64];
  std::snprintf(text, sizeof text, "other processes kept %.1f CPUs busy", others / seconds);
  return text;
}

}  // namespace convbwd::support
