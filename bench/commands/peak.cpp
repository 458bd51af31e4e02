// SPDX-License-Identifier: Apache-2.0
#include "support/peak.h"

#include <CLI/CLI.hpp>
#include <iomanip>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "commands/commands.h"
#include "support/machine.h"
#include "support/refuse.h"
#include "support/selection.h"
#include "support/threads.h"

namespace convbwd::commands {
namespace {

using support::PeakLoops;
using support::Rate;

constexpr double kSecondsEach = 0.15;

struct Arguments {
  std::string threads = "1,all";
  std::vector<std::string> isas{"all"};
  bool json = false;
};

struct FmaLine {
  const PeakLoops* loops;
  int threads;
  Rate rate;
};
struct BandwidthLine {
  support::Level level;
  int threads;
  Rate rate[std::size(support::kStreams)];
};
struct Peaks {
  std::vector<FmaLine> fma;
  std::vector<BandwidthLine> bandwidth;
  const PeakLoops* bandwidth_loops;  // the highest instruction set asked for
};

std::vector<const PeakLoops*> loops_asked_for(const std::vector<std::string>& isas) {
  std::vector<const PeakLoops*> chosen;
  for (const std::string& word : isas) {
    if (word == "all") {
      for (const PeakLoops* loops : support::peak_loops())
        if (cpu_runs(loops->isa)) chosen.push_back(loops);
      continue;
    }
    const auto isa = isa_named(word);
    if (!isa) support::refuse("--isa: there is no instruction set " + word);
    if (!cpu_runs(*isa)) support::refuse("--isa: this CPU does not run " + word, support::kNotSupported);
    const PeakLoops* loops = support::peak_loops(*isa);
    if (!loops) support::refuse("--isa: not built for " + word, support::kNotSupported);
    chosen.push_back(loops);
  }
  return chosen;
}

Peaks measure(const std::vector<int>& threads, const std::vector<const PeakLoops*>& chosen) {
  Peaks peaks;
  peaks.bandwidth_loops = chosen.back();
  for (int count : threads) {
    support::pin_threads(count);
    for (const PeakLoops* loops : chosen)
      peaks.fma.push_back({loops, count, support::fma_peak(count, *loops, kSecondsEach)});
    for (const support::Level& level : support::levels(count)) {
      BandwidthLine line{level, count, {}};
      for (std::size_t i = 0; i < std::size(support::kStreams); ++i)
        line.rate[i] = support::bandwidth(support::kStreams[i], count, *peaks.bandwidth_loops, level.bytes_per_thread,
                                          kSecondsEach);
      peaks.bandwidth.push_back(line);
    }
  }
  return peaks;
}

nlohmann::ordered_json json_of(const Rate& rate) {
  return {{"best", rate.best}, {"median", rate.median}, {"worst", rate.worst}, {"samples", rate.samples}};
}

void print_json(const Peaks& peaks) {
  nlohmann::ordered_json document;
  for (const auto& [key, value] : support::all_facts()) document["machine"][key] = value;
  document["pinned"] = support::pinning();
  document["fma_gflops"] = nlohmann::ordered_json::array();
  for (const FmaLine& line : peaks.fma) {
    auto entry = json_of(line.rate);
    entry["isa"] = name(line.loops->isa);
    entry["threads"] = line.threads;
    document["fma_gflops"].push_back(std::move(entry));
  }
  document["bandwidth_gbs"] = nlohmann::ordered_json::array();
  for (const BandwidthLine& line : peaks.bandwidth)
    for (std::size_t i = 0; i < std::size(support::kStreams); ++i) {
      auto entry = json_of(line.rate[i]);
      entry["level"] = line.level.name;
      entry["stream"] = name(support::kStreams[i]);
      entry["threads"] = line.threads;
      entry["bytes_per_thread"] = line.level.bytes_per_thread;
      entry["isa"] = name(peaks.bandwidth_loops->isa);
      document["bandwidth_gbs"].push_back(std::move(entry));
    }
  std::cout << document.dump(1) << "\n";
}

std::string fixed(double value) {
  std::ostringstream text;
  text << std::fixed << std::setprecision(1) << value;
  return text.str();
}

/// Best, and how far the median stays below it.
std::string with_spread(const Rate& rate) {
  return fixed(rate.best) + " -" + fixed(100 * (1 - rate.median / rate.best)) + "%";
}

std::string size_of(std::size_t bytes) {
  return bytes >> 20 ? std::to_string(bytes >> 20) + " MiB" : std::to_string(bytes >> 10) + " KiB";
}

void print_line(std::initializer_list<std::string> words) {
  std::size_t column = 0;
  for (const std::string& word : words) std::cout << (column++ ? std::right : std::left) << std::setw(16) << word;
  std::cout << "\n";
}

void print_table(const Peaks& peaks) {
  for (const auto& [key, value] : support::machine_facts())
    if (key == "cpu_model" || key == "virtualisation" || key == "governor") std::cout << key << ": " << value << "\n";
  std::cout << "pinned: " << support::pinning() << "\n\n"
            << "Multiply-adds, GFLOP/s (32-bit, two a multiply-add): best sample, and how far the median is below\n";
  print_line({"isa", "threads", "best", "worst"});
  for (const FmaLine& line : peaks.fma)
    print_line({std::string(name(line.loops->isa)), std::to_string(line.threads), with_spread(line.rate),
                fixed(line.rate.worst)});
  std::cout << "\nBandwidth, GB/s (" << name(peaks.bandwidth_loops->isa)
            << "): best sample, and how far the median is below\n";
  print_line({"level", "threads", "each uses", "read", "copy", "triad"});
  for (const BandwidthLine& line : peaks.bandwidth)
    print_line({line.level.name, std::to_string(line.threads), size_of(line.level.bytes_per_thread),
                with_spread(line.rate[0]), with_spread(line.rate[1]), with_spread(line.rate[2])});
}

void peak(const Arguments& arguments, char** argv) {
  support::set_environment_and_reexec(argv, best_isa());
  const Peaks peaks = measure(support::threads_of(arguments.threads), loops_asked_for(arguments.isas));
  arguments.json ? print_json(peaks) : print_table(peaks);
}

}  // namespace

void add_peak(CLI::App& app, Invocation& invocation) {
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("peak", "what this machine can do at most, measured: GFLOP/s and GB/s");
  command->add_flag("--json", arguments->json, "for programs");
  command->add_option("--threads", arguments->threads, "numbers or all, e.g. 1,2 [1,all]");
  command->add_option("--isa", arguments->isas, "all, or a list of baseline, avx2, avx512, neon [all]")->delimiter(',');
  command->callback([arguments, argv = invocation.argv] { peak(*arguments, argv); });
}

}  // namespace convbwd::commands
