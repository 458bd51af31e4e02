// SPDX-License-Identifier: Apache-2.0
#include "support/peak.h"

#include <omp.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <functional>
#include <iomanip>
#include <sstream>

#include "support/machine.h"

namespace convbwd::support {
namespace {

constexpr double kGiga = 1e9;
constexpr double kSampleSeconds = 1e-3;  // long against the clock and the start, short against what disturbs
constexpr int kLeastSamples = 3;

// Disagreements between two probes: the clock of a core is steady, the memory of a shared machine is not.
constexpr double kMostFmaChange = 0.05, kMostBandwidthChange = 0.25;

constexpr double kProbeFmaSeconds = 1.5e-3;
constexpr std::size_t kProbeWindow = std::size_t{16} << 20;  // bytes read for a sample, by all threads
constexpr int kMostLooksAgain = 3;
constexpr int kProbeReads = 3;

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

/// Results go here so that nobody can leave the work out.
std::atomic<float> sink;

/// Runs work(thread) in all threads at once; seconds from the first start to the last end.
double together(int threads, const std::function<void(int)>& work) {
  std::vector<double> begin(static_cast<std::size_t>(threads)), end = begin;
  std::atomic<int> here = 0;
#pragma omp parallel num_threads(threads)
  {
    const auto thread = static_cast<std::size_t>(omp_get_thread_num());
    const int team = omp_get_num_threads();
    // All on their CPUs before anybody starts; giving way now and then in case there are fewer CPUs than threads.
    ++here;
    for (int spins = 1; here < team; ++spins)
      if (spins % 1024 == 0) sched_yield();
    begin[thread] = now();
    work(static_cast<int>(thread));
    end[thread] = now();
  }
  return *std::max_element(end.begin(), end.end()) - *std::min_element(begin.begin(), begin.end());
}

/// Takes samples of `work` of so many units until the time is over.
Rate sampled(double units, double seconds, const std::function<double()>& sample) {
  std::vector<double> rates;
  const double start = now();
  while (static_cast<int>(rates.size()) < kLeastSamples || now() - start < seconds)
    rates.push_back(units / sample() / kGiga);
  std::sort(rates.begin(), rates.end());
  return {rates.back(), rates[rates.size() / 2], rates.front(), static_cast<int>(rates.size())};
}

/// Every thread's own memory, touched first by that thread.
std::vector<Buffer> memory_of(int threads, std::size_t bytes) {
  std::vector<Buffer> memory(static_cast<std::size_t>(threads));
  together(threads, [&](int thread) {
    Buffer& own = memory[static_cast<std::size_t>(thread)] = Buffer(bytes);
    std::fill_n(own.floats(), bytes / sizeof(float), 1.0f);
  });
  return memory;
}

int arrays_of(Stream stream) { return stream == Stream::read ? 1 : stream == Stream::copy ? 2 : 3; }

/// Moves n floats of each array; arrays lie one after the other.
void run(Stream stream, const PeakLoops& loops, float* memory, Dim n) {
  switch (stream) {
    case Stream::read:
      sink = loops.read(memory, n);
      break;
    case Stream::copy:
      loops.copy(memory, memory + n, n);
      break;
    case Stream::triad:
      loops.triad(memory, memory + n, memory + 2 * n, n);
      break;
  }
}

/// Enough memory that what was read long ago is in no cache any more.
std::size_t uncached_bytes(int threads) {
  constexpr std::size_t kLeast = std::size_t{64} << 20, kMost = std::size_t{1} << 30;
  const Caches cache = caches();
  const auto instances = static_cast<std::size_t>((threads + cache.l3_shared_by - 1) / cache.l3_shared_by);
  return std::clamp(3 * cache.l3 * instances + static_cast<std::size_t>(threads) * cache.l2, kLeast, kMost);
}

std::string change(const char* what, const char* unit, double before, double after, double most) {
  const double low = std::min(before, after), high = std::max(before, after);
  if (high <= low * (1 + most)) return {};
  std::ostringstream text;
  text << std::fixed << std::setprecision(1) << what << " went from " << before << " to " << after << " " << unit;
  return text.str();
}

}  // namespace

const PeakLoops* peak_loops(Isa isa) {
  for (const PeakLoops* loops : peak_loops())
    if (loops->isa == isa) return loops;
  return nullptr;
}

Rate fma_peak(int threads, const PeakLoops& loops, double seconds) {
  long rounds = 1000;
  const auto sample = [&] { return together(threads, [&](int) { sink = loops.multiply_add(rounds); }); };
  for (double took = sample(); took < kSampleSeconds / 2; took = sample())
    rounds = static_cast<long>(static_cast<double>(rounds) * std::min(10.0, kSampleSeconds / took));
  return sampled(static_cast<double>(rounds) * loops.flops_per_round * threads, seconds, sample);
}

std::string_view name(Stream stream) {
  return stream == Stream::read ? "read" : stream == Stream::copy ? "copy" : "triad";
}

std::vector<Level> levels(int threads) {
  const Caches cache = caches();
  std::vector<Level> levels;
  if (cache.l1) levels.push_back({"L1", cache.l1 / 2});
  if (cache.l2) levels.push_back({"L2", cache.l2 / 2});
  const std::size_t share = cache.l3 / static_cast<std::size_t>(std::min(threads, cache.l3_shared_by)) / 2;
  if (share > cache.l2) levels.push_back({"L3", share});
  levels.push_back({"DRAM", uncached_bytes(threads) / static_cast<std::size_t>(threads)});
  return levels;
}

Rate bandwidth(Stream stream, int threads, const PeakLoops& loops, std::size_t bytes_per_thread, double seconds) {
  const int arrays = arrays_of(stream);
  const Dim n = static_cast<Dim>(bytes_per_thread / sizeof(float)) / arrays / kPeakLoopStep * kPeakLoopStep;
  const double bytes = static_cast<double>(n) * arrays * sizeof(float) * threads;
  const std::vector<Buffer> memory = memory_of(threads, static_cast<std::size_t>(n * arrays) * sizeof(float));
  long times = 1;
  const auto sample = [&] {
    return together(threads, [&](int thread) {
      for (long time = 0; time < times; ++time)
        run(stream, loops, memory[static_cast<std::size_t>(thread)].floats(), n);
    });
  };
  for (double took = sample(); took < kSampleSeconds / 2; took = sample())
    times = static_cast<long>(std::ceil(static_cast<double>(times) * std::min(10.0, kSampleSeconds / took)));
  return sampled(bytes * static_cast<double>(times), seconds, sample);
}

namespace {

Probe look(int threads, Isa cap) {
  // A window that moves through more memory than the caches hold. Kept: to touch it first takes longer than a probe.
  static std::vector<Buffer> memory;
  static std::size_t at = 0;
  const std::size_t window = kProbeWindow / static_cast<std::size_t>(threads) / 4096 * 4096;
  const std::size_t own = uncached_bytes(threads) / static_cast<std::size_t>(threads) / window * window;
  if (memory.size() != static_cast<std::size_t>(threads)) memory = memory_of(threads, own), at = 0;

  Probe probe;
  const double start = now();
  const PeakLoops* best = nullptr;
  for (const PeakLoops* loops : peak_loops()) {
    if (!within(loops->isa, cap) || !cpu_runs(loops->isa) || (loops->isa == Isa::baseline && cap != Isa::baseline))
      continue;
    probe.fma_gflops = std::max(probe.fma_gflops, fma_peak(threads, *loops, kProbeFmaSeconds).best);
    best = loops;
  }
  for (int i = 0; best && i < kProbeReads; ++i) {
    at = (at + window) % own;
    const double took = together(threads, [&](int thread) {
      sink = best->read(memory[static_cast<std::size_t>(thread)].floats() + at / sizeof(float),
                        static_cast<Dim>(window / sizeof(float)));
    });
    probe.bandwidth_gbs = std::max(probe.bandwidth_gbs, static_cast<double>(window) * threads / took / kGiga);
  }
  probe.seconds = now() - start;
  return probe;
}

}  // namespace

Probe probe(int threads, Isa cap) {
  Probe best = look(threads, cap);
  for (int again = 0; again < kMostLooksAgain; ++again) {
    const Probe next = look(threads, cap);
    const bool settled = disagreement(best, next).empty();
    best = {std::max(best.fma_gflops, next.fma_gflops), std::max(best.bandwidth_gbs, next.bandwidth_gbs),
            best.seconds + next.seconds};
    if (settled) break;
  }
  return best;
}

std::string disagreement(const Probe& before, const Probe& after) {
  const std::string fma =
      change("the multiply-add peak", "GFLOP/s", before.fma_gflops, after.fma_gflops, kMostFmaChange);
  const std::string read =
      change("reading memory", "GB/s", before.bandwidth_gbs, after.bandwidth_gbs, kMostBandwidthChange);
  return fma.empty() || read.empty() ? fma + read : fma + "; " + read;
}

}  // namespace convbwd::support
