// SPDX-License-Identifier: Apache-2.0
#include "race/options.h"

#include <benchmark/benchmark.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <iostream>
#include <optional>

#include "support/refuse.h"
#include "support/selection.h"

namespace convbwd::race {
namespace {

constexpr const char* kFooter =
    "Every other --benchmark_* flag of Google Benchmark works as usual; see below.\n"
    "Exit codes: 0 good, 1 a contender computed something wrong, 2 usage, 3 nothing matched or supported,\n"
    "4 some rows failed, 130 interrupted.\n";

/// A finite number and nothing else.
std::optional<double> number_in(const std::string& text) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (text.empty() || *end || !std::isfinite(value)) return std::nullopt;
  return value;
}

/// What Google Benchmark would take without a word, or answer with an endless run.
void check_benchmark_flag(const std::string& argument) {
  const auto value_of = [&](const char* flag) -> std::optional<std::string> {
    const std::string prefix = "--benchmark_" + std::string(flag) + "=";
    return argument.starts_with(prefix) ? std::optional(argument.substr(prefix.size())) : std::nullopt;
  };
  const auto expect = [&](bool fine, const char* what) {
    if (!fine) support::refuse(argument + ": expected " + what);
  };
  if (const auto value = value_of("min_time")) expect(number_in(*value).value_or(0) > 0, "seconds, more than 0");
  if (const auto value = value_of("min_warmup_time")) expect(number_in(*value).value_or(-1) >= 0, "seconds");
  if (const auto value = value_of("repetitions"))
    expect(number_in(*value).value_or(0) >= 1 && number_in(*value).value_or(0) <= 1000, "a number from 1 to 1000");
  if (const auto value = value_of("format"))
    expect(*value == "console" || *value == "json" || *value == "csv", "console, json or csv");
  if (const auto value = value_of("time_unit"))
    expect(*value == "ns" || *value == "us" || *value == "ms" || *value == "s", "ns, us, ms or s");
}

std::vector<Cache> caches_of(const std::string& list) {
  std::vector<Cache> caches;
  for (const std::string& word : support::words_of(list)) {
    if (word != "warm" && word != "cold") support::refuse("--cache=" + word + " is not one of warm, cold");
    caches.push_back(word == "warm" ? Cache::warm : Cache::cold);
  }
  if (caches.empty()) support::refuse("--cache is empty; it takes warm, cold");
  return caches;
}

/// A finite number of seconds, 0 or more.
const CLI::Validator kSeconds(
    [](std::string& text) {
      const auto seconds = number_in(text);
      return seconds && *seconds >= 0 ? "" : "takes a number of seconds, 0 or more";
    },
    "SECONDS");

/// Google Benchmark's flags that we act on ourselves are taken out; defaults go in where the user gave none.
void adapt_benchmark_flags(std::vector<std::string>& flags, Options& options) {
  const auto take = [&](const std::string& flag, std::string& value) {
    const std::string prefix = "--" + flag + "=";
    std::erase_if(flags, [&](const std::string& argument) {
      if (!argument.starts_with(prefix)) return false;
      value = argument.substr(prefix.size());
      return true;
    });
  };
  const auto given = [&](const std::string& flag) {
    return std::any_of(flags.begin(), flags.end(),
                       [&](const std::string& argument) { return argument.starts_with("--" + flag); });
  };
  take("benchmark_out", options.out);
  take("benchmark_out_format", options.out_format);
  take("benchmark_filter", options.filter);
  for (const std::string& flag : flags) check_benchmark_flag(flag);
  const char* const usual_format = std::getenv("BENCHMARK_FORMAT");
  std::string format = usual_format ? usual_format : "console";
  for (const std::string& flag : flags)
    if (flag.starts_with("--benchmark_format=")) format = flag.substr(flag.find('=') + 1);
  options.console = format == "console";
  options.list = options.list || given("benchmark_list_tests");
  if (!given("benchmark_min_time") && !std::getenv("BENCHMARK_MIN_TIME")) flags.push_back("--benchmark_min_time=0.005");
  // Rounds are ours; the library's own shuffle repeats one contender back to back.
  if (!given("benchmark_enable_random_interleaving")) flags.push_back("--benchmark_enable_random_interleaving=false");
}

}  // namespace

std::string_view name(Cache cache) { return cache == Cache::warm ? "warm" : "cold"; }

Options parse_options(int& argc, char**& argv) {
  Options options;
  std::string implementations, isa = "best", pass = "data,weights", layout = "native", cache = "warm", threads = "1";
  std::vector<std::string> excluded;
  bool help = false;

  CLI::App app("convbwd_bench: races implementations of convolution's backward pass, each proved right first");
  app.set_help_flag();
  app.allow_extras();
  app.footer(kFooter);
  app.add_flag("-h,--help", help, "print this and exit");
  app.add_option("--workload", options.workloads, "shipped workload, or a file of descriptors; repeatable")
      ->take_all()
      ->expected(1)
      ->allow_extra_args(false);
  app.add_option("--problem", options.problems, "one layer as a descriptor, e.g. ic64ih56oc64kh3ph1; repeatable")
      ->take_all()
      ->expected(1)
      ->allow_extra_args(false);
  app.add_option("--layer", options.layers, "only this layer of the workload; repeatable")
      ->take_all()
      ->expected(1)
      ->allow_extra_args(false);
  app.add_option("--impl", implementations, "name[:isa],...: only these implementations");
  app.add_option("--isa", isa, "best | all | list of baseline,avx2,avx512,neon: highest instruction set used [best]");
  app.add_option("--pass", pass, "data,weights: which gradients [both]");
  app.add_option("--layout", layout, "native,nchw,nhwc: how tensors are handed over [native]");
  app.add_option("--cache", cache, "warm,cold: state of the caches before each execution [warm]");
  app.add_option("--threads", threads, "numbers or all, e.g. 1,2 [1]");
  app.add_option("--batch", options.batch, "replaces the batch of every problem")->check(CLI::Range(1, 1 << 20));
  app.add_option("--rounds", options.rounds, "at least this many shuffled passes over the contenders [1]")
      ->check(CLI::Range(1, 1000));
  app.add_option("--cell_seconds", options.cell_seconds,
                 "time for a cell: rounds go on while it lasts, and for a third of it")
      ->check(kSeconds);
  app.add_option("--row_seconds", options.row_seconds, "skip rows predicted to take longer for one execution")
      ->check(kSeconds);
  app.add_option("--exclude", excluded, "name:isa=reason: leave the row out, with this error message; repeatable")
      ->take_all()
      ->expected(1)
      ->allow_extra_args(false);
  app.add_option("--events", options.events, "append a JSON line to this file before and after every step");
  app.add_option("--seed", options.seed, "of the data and of the shuffling [1]");
  app.add_flag("--stages", options.stages, "also measure how long each stage of a plan takes, outside the race");
  app.add_flag("--list", options.list, "print the names of the benchmarks and exit");
  for (int i = 1; i < argc; ++i)
    if (const std::string_view argument = argv[i]; argument.starts_with("--") && argument.ends_with('='))
      support::refuse(std::string(argument) + " has no value");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    support::refuse(std::string(error.what()) + "; see --help");
  }
  if (help) {
    std::cout << app.help() << "\n";
    char flag[] = "--help";
    char* arguments[] = {argv[0], flag, nullptr};
    int count = 2;
    benchmark::Initialize(&count, arguments);  // prints its own flags and exits
  }

  options.implementations = support::implementations_of(implementations);
  options.caps = support::isas_of(isa);
  options.passes = support::passes_of(pass);
  options.layouts = support::layouts_of(layout);
  options.caches = caches_of(cache);
  options.threads = support::threads_of(threads);
  for (const std::string& exclusion : excluded) {
    const auto equals = exclusion.find('=');
    if (equals == std::string::npos) support::refuse("--exclude=" + exclusion + " has no =reason");
    const std::string row = exclusion.substr(0, equals);
    support::implementations_of(row);
    options.excluded[row] = exclusion.substr(equals + 1);
  }

  static std::vector<std::string> flags = app.remaining();
  adapt_benchmark_flags(flags, options);
  if (options.out_format != "json")
    support::refuse("--benchmark_out_format=" + options.out_format + ": only json is written");
  flags.insert(flags.begin(), argv[0]);
  static std::vector<char*> pointers;
  for (std::string& flag : flags) pointers.push_back(flag.data());
  pointers.push_back(nullptr);
  argc = static_cast<int>(pointers.size()) - 1;
  argv = pointers.data();
  return options;
}

}  // namespace convbwd::race
