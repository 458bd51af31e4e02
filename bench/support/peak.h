// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/buffer.h"
#include "core/isa.h"
#include "support/loops/peak_loops.h"

namespace convbwd::support {

// What this machine can do at most, measured: the scale for every rate in a report. All threads work at the same time,
// each on its own memory; a rate is the work of all over the time from the first start to the last end.

/// The loops of every instruction set that was built, lowest first.
std::span<const PeakLoops* const> peak_loops();

/// The loops for one instruction set, or null where there are none.
const PeakLoops* peak_loops(Isa isa);

/// Rates of several samples, in GFLOP/s or GB/s.
struct Rate {
  double best = 0, median = 0, worst = 0;
  int samples = 0;
};

/// Multiply-adds, each counted as two; 32-bit floats. Takes about `seconds`, and at least three samples of 1 ms.
Rate fma_peak(int threads, const PeakLoops& loops, double seconds);

/// read: bytes read. copy, triad: bytes read and written, without what a cache reads before it writes.
enum class Stream { read, copy, triad };
inline constexpr Stream kStreams[] = {Stream::read, Stream::copy, Stream::triad};
std::string_view name(Stream stream);

/// A place that data come from, and how much of it each thread uses so that they do.
struct Level {
  std::string name;
  std::size_t bytes_per_thread;
};

/// L1, L2, L3 (half of each; half of a thread's share where it is shared) and DRAM; without those of unknown size.
std::vector<Level> levels(int threads);

/// Takes about `seconds`, and at least three samples.
Rate bandwidth(Stream stream, int threads, const PeakLoops& loops, std::size_t bytes_per_thread, double seconds);

/// The machine in a few milliseconds: multiply-adds with the best instruction set within the cap, and reading memory
/// that no cache holds. Looks again where two looks disagree, so that what took a thread away for a moment is not taken
/// for the machine.
struct Probe {
  double fma_gflops = 0, bandwidth_gbs = 0, seconds = 0;
};
Probe probe(int threads, Isa cap);

/// Why what was timed between two probes is not to be trusted, or nothing.
std::string disagreement(const Probe& before, const Probe& after);

}  // namespace convbwd::support
