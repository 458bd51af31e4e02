// SPDX-License-Identifier: Apache-2.0
//
// Facts about the machine, measured peaks and the probe: that they are there and fit each other. No speed is asserted
// that a busy machine could miss.
#include "support/machine.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <regex>
#include <set>

#include "core/registry.h"
#include "support/peak.h"
#include "support/sha256.h"
#include "support/threads.h"

namespace convbwd::support {
namespace {

std::map<std::string, std::string> facts() {
  std::map<std::string, std::string> facts;
  for (const auto& [key, value] : all_facts()) {
    EXPECT_FALSE(facts.contains(key)) << key << " is told twice";
    facts[key] = value;
  }
  return facts;
}

TEST(Machine, TellsEveryFactOrSaysUnknown) {
  const auto told = facts();
  for (const char* key : {"cpu_model",
                          "cpu_vendor",
                          "cpu_family_model_stepping",
                          "microcode",
                          "isa_best",
                          "cores",
                          "memory_bytes",
                          "kernel",
                          "governor",
                          "virtualisation",
                          "thp",
                          "os",
                          "cache_l1d_bytes",
                          "cache_l2_bytes",
                          "cache_l3_bytes",
                          "affinity",
                          "omp_wait_policy",
                          "omp_places",
                          "compiler",
                          "build_type",
                          "flags_baseline",
                          "commit",
                          "dirty",
                          "benchmark_version",
                          "binary_sha256"}) {
    ASSERT_TRUE(told.contains(key)) << key;
    EXPECT_FALSE(told.at(key).empty()) << key;
  }
  EXPECT_EQ(told.at("isa_best"), name(best_isa()));
  EXPECT_TRUE(std::regex_match(told.at("cores"), std::regex("[1-9][0-9]*")));
  EXPECT_TRUE(std::regex_match(told.at("memory_bytes"), std::regex("[1-9][0-9]*")));
  EXPECT_TRUE(std::regex_match(told.at("commit"), std::regex("[0-9a-f]{40}|unknown")));
  EXPECT_TRUE(std::regex_match(told.at("dirty"), std::regex("yes|no|unknown")));
  EXPECT_TRUE(std::regex_match(told.at("binary_sha256"), std::regex("[0-9a-f]{64}")));
}

TEST(Machine, TellsNobodyWhereOrWhoseItIs) {
  char host[256] = {};
  gethostname(host, sizeof host - 1);
  for (const auto& [key, value] : facts()) {
    EXPECT_FALSE(std::regex_search(value, std::regex("/(home|root|tmp|usr|opt)/"))) << key << ": " << value;
    if (std::string(host).size() > 3) {
      EXPECT_EQ(value.find(host), std::string::npos) << key << ": " << value;
    }
  }
}

TEST(Machine, TellsTheFlagsOfEachInstructionSet) {
  auto told = facts();
  if (told.contains("flags_avx2")) {
    EXPECT_NE(told.at("flags_avx2").find("-mavx2 -mfma"), std::string::npos);
  }
  EXPECT_EQ(told.at("flags_baseline").find("-mavx"), std::string::npos);
  EXPECT_EQ(told.at("flags_baseline").find("-W"), std::string::npos) << "warnings do not change a binary";
}

TEST(Machine, TellsTheTimeInUtc) {
  EXPECT_TRUE(std::regex_match(utc_now(), std::regex(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)"))) << utc_now();
}

TEST(Machine, DisturbanceGrowsFromZero) {
  const Disturbance disturbance;
  EXPECT_GE(disturbance.steal_seconds(), 0);
  EXPECT_GE(disturbance.involuntary_switches(), 0);
}

TEST(Text, ReadsWhatTheKernelWrites) {
  EXPECT_EQ(value_of("processor\t: 0\nmodel name\t: Some CPU \n", "model name"), "Some CPU");
  EXPECT_EQ(value_of("model name\t:\n", "model name"), "");
  EXPECT_EQ(value_of("", "model name"), "");
  EXPECT_EQ(numbers_in("0-2,5"), (std::vector<int>{0, 1, 2, 5}));
  EXPECT_EQ(numbers_in("7"), std::vector<int>{7});
  EXPECT_TRUE(numbers_in("").empty());
  EXPECT_EQ(numbers_in("1,x"), std::vector<int>{1});
  EXPECT_EQ(bytes_in("32K"), 32768u);
  EXPECT_EQ(bytes_in("8M"), 8388608u);
  EXPECT_EQ(bytes_in("K"), 0u);
}

TEST(Sha256, GivesTheStandardsExamples) {
  EXPECT_EQ(sha256(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(sha256(std::string(1000000, 'a')), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

/// A system of files that holds what is written into it.
class FakeSystem : public testing::Test {
 protected:
  void TearDown() override { std::filesystem::remove_all(root); }
  void write(const std::string& file, const std::string& text) const {
    const std::filesystem::path path(root + file);
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text << "\n";
  }
  const std::string root = testing::TempDir() + "convbwd_machine_test." + std::to_string(getpid());
};

TEST_F(FakeSystem, QuotaOfTheUnifiedHierarchyIsTheTightestOnTheWayUp) {
  EXPECT_EQ(cgroup_quota(root), 0) << "no such file";
  write("/proc/self/cgroup", "0::/pod/container");
  EXPECT_EQ(cgroup_quota(root), 0);
  write("/sys/fs/cgroup/pod/container/cpu.max", "max 100000");
  EXPECT_EQ(cgroup_quota(root), 0);
  write("/sys/fs/cgroup/pod/cpu.max", "150000 100000");
  EXPECT_EQ(cgroup_quota(root), 1.5);
  write("/sys/fs/cgroup/pod/container/cpu.max", "250000 100000");
  EXPECT_EQ(cgroup_quota(root), 1.5);
  write("/sys/fs/cgroup/cpu.max", "50000 100000");
  EXPECT_EQ(cgroup_quota(root), 0.5);
  write("/sys/fs/cgroup/cpu.max", "nonsense");
  EXPECT_EQ(cgroup_quota(root), 1.5);
}

TEST_F(FakeSystem, QuotaOfTheOldHierarchyIsThatOfTheCpuController) {
  write("/proc/self/cgroup", "5:memory:/job\n4:cpu,cpuacct:/job\n0::/");
  write("/sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us", "-1");
  write("/sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us", "100000");
  EXPECT_EQ(cgroup_quota(root), 0);
  write("/sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us", "300000");
  EXPECT_EQ(cgroup_quota(root), 3);
  // In a container the path is the host's, and what counts is found at the root of the mount.
  write("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "200000");
  write("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000");
  EXPECT_EQ(cgroup_quota(root), 2);
}

TEST_F(FakeSystem, QuotaLimitsTheUsableCpus) {
  const std::size_t mask = usable_cpus(root).size();
  write("/proc/self/cgroup", "0::/");
  for (const auto& [quota, cpus] : {std::pair<const char*, std::size_t>{"max 100000", mask},
                                    {"99900000 100000", mask},
                                    {"199999 100000", 1},
                                    {"100000 100000", 1},
                                    {"10000 100000", 1}}) {
    write("/sys/fs/cgroup/cpu.max", quota);
    EXPECT_EQ(usable_cpus(root).size(), cpus) << quota;
  }
}

TEST(Threads, AreThoseOfOneRuntime) {
  EXPECT_EQ(openmp_runtimes().size(), 1u) << testing::PrintToString(openmp_runtimes());
}

TEST(Threads, UsableCpusAreDistinct) {
  const std::vector<int> cpus = usable_cpus();
  ASSERT_FALSE(cpus.empty());
  EXPECT_EQ(std::set<int>(cpus.begin(), cpus.end()).size(), cpus.size());
}

/// Runs this program again as a child: with a variable that tells it what to do, and what it should find.
int rerun(const char* filter) {
  const pid_t child = fork();
  if (child == 0) {
    for (const char* variable : {"OMP_PROC_BIND", "OMP_PLACES", "GOMP_CPU_AFFINITY", "CONVBWD_REEXECUTED"})
      unsetenv(variable);
    setenv("CONVBWD_TEST_CHILD", "1", 1);
    const std::string argument = std::string("--gtest_filter=") + filter;
    char program[] = "machine_test", disabled[] = "--gtest_also_run_disabled_tests";
    char* argv[] = {program, const_cast<char*>(argument.c_str()), disabled, nullptr};
    execv("/proc/self/exe", argv);
    _exit(127);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(Threads, DISABLED_ChildIsBoundAfterOneReexecution) {
  if (!std::getenv("CONVBWD_TEST_CHILD")) GTEST_SKIP() << "only as a child of the next test";
  const bool again = std::getenv("CONVBWD_REEXECUTED") != nullptr;
  char program[] = "machine_test";
  char filter[] = "--gtest_filter=*DISABLED_ChildIsBound*", disabled[] = "--gtest_also_run_disabled_tests";
  char* argv[] = {program, filter, disabled, nullptr};
  set_environment_and_reexec(argv, best_isa());
  ASSERT_TRUE(again) << "the first process must not come this far";
  const int usable = static_cast<int>(usable_cpus().size());
  for (int threads : {usable, 1, usable}) {
    pin_threads(threads);
    EXPECT_EQ(pinning().substr(0, 3), "yes") << pinning();
  }
  pin_threads(usable + 1);
  EXPECT_EQ(pinning().substr(0, 2), "no") << pinning();
}

TEST(Threads, AreBoundAfterOneReexecution) { EXPECT_EQ(rerun("*DISABLED_ChildIsBound*"), 0); }

TEST(Peak, WiderInstructionSetsAreNotSlower) {
  std::map<Isa, double> best;
  for (int attempt = 0; attempt < 10; ++attempt) {  // a busy machine may spoil one
    for (const PeakLoops* loops : peak_loops())
      if (cpu_runs(loops->isa)) best[loops->isa] = std::max(best[loops->isa], fma_peak(1, *loops, 0.01).best);
    if (!best.contains(Isa::avx2) || best[Isa::avx2] >= 0.9 * best[Isa::baseline]) break;
  }
  ASSERT_TRUE(best.contains(Isa::baseline));
  EXPECT_GT(best[Isa::baseline], 0);
  if (best.contains(Isa::avx2)) {
    EXPECT_GE(best[Isa::avx2], 0.9 * best[Isa::baseline]);
  }
}

TEST(Peak, EveryLevelAndStreamHasARate) {
  const PeakLoops& loops = *peak_loops(Isa::baseline);
  const auto all = levels(1);
  ASSERT_FALSE(all.empty());
  EXPECT_EQ(all.back().name, "DRAM");
  for (const Level& level : all)
    for (Stream stream : kStreams) {
      const Rate rate = bandwidth(stream, 1, loops, std::min(level.bytes_per_thread, std::size_t{1} << 20), 0);
      EXPECT_GE(rate.samples, 3);
      EXPECT_GT(rate.worst, 0);
      EXPECT_LE(rate.worst, rate.median);
      EXPECT_LE(rate.median, rate.best);
      EXPECT_LT(rate.best, std::numeric_limits<double>::infinity());
    }
}

TEST(Peak, ProbeLooksAtBothAndKeepsWithinTheCap) {
  for (int threads : {1, 2})
    for (Isa cap : {Isa::baseline, best_isa()}) {
      const std::clock_t before = std::clock();
      const Probe found = probe(threads, cap);
      const double busy = static_cast<double>(std::clock() - before) / CLOCKS_PER_SEC;
      EXPECT_GT(found.fma_gflops, 0);
      EXPECT_GT(found.bandwidth_gbs, 0);
      EXPECT_GT(found.seconds, 0);
      EXPECT_LT(busy, 2 * threads) << "a probe takes milliseconds of its threads, however long it waits for a CPU";
    }
}

TEST(Peak, ProbesDisagreeWhereTheMachineChanged) {
  const Probe quiet{.fma_gflops = 100, .bandwidth_gbs = 20, .seconds = 0};
  EXPECT_EQ(disagreement(quiet, quiet), "");
  EXPECT_EQ(disagreement(quiet, {.fma_gflops = 98, .bandwidth_gbs = 18, .seconds = 0}), "");
  EXPECT_EQ(disagreement(quiet, {.fma_gflops = 80, .bandwidth_gbs = 20, .seconds = 0}),
            "the multiply-add peak went from 100.0 to 80.0 GFLOP/s");
  EXPECT_EQ(disagreement({.fma_gflops = 80, .bandwidth_gbs = 10, .seconds = 0}, quiet),
            "the multiply-add peak went from 80.0 to 100.0 GFLOP/s; reading memory went from 10.0 to 20.0 GB/s");
}

}  // namespace
}  // namespace convbwd::support
