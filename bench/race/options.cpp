// SPDX-License-Identifier: Apache-2.0
#include "race/options.h"

#include <benchmark/benchmark.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <regex>

#include "core/registry.h"
#include "support/refuse.h"
#include "support/threads.h"

namespace convbwd::race {
namespace {

constexpr const char* kFooter =
    "Every other --benchmark_* flag of Google Benchmark works as usual; see below.\n"
    "Exit codes: 0 good, 1 a contender computed something wrong, 2 usage, 3 nothing matched or supported,\n"
    "4 some rows failed, 130 interrupted.\n";

/// "a,b,c" -> {a, b, c}
std::vector<std::string> split(const std::string& list) {
  std::vector<std::string> parts;
  std::string part;
  std::istringstream stream(list);
  while (std::getline(stream, part, ','))
    if (!part.empty()) parts.push_back(part);
  return parts;
}

/// Each word of a comma-separated list through `named`, which says whether it knows the word.
template <class T, class Named>
std::vector<T> choices(const std::string& flag, const std::string& list, Named named) {
  std::vector<T> chosen;
  for (const std::string& word : split(list)) {
    const std::optional<T> value = named(word);
    if (!value) support::refuse("--" + flag + "=" + word + " is not known; see --help");
    if (std::find(chosen.begin(), chosen.end(), *value) == chosen.end()) chosen.push_back(*value);
  }
  if (chosen.empty()) support::refuse("--" + flag + " is empty");
  return chosen;
}

template <class T>
auto one_of(std::initializer_list<T> values) {
  return [values = std::vector<T>(values)](const std::string& word) -> std::optional<T> {
    for (T value : values)
      if (name(value) == word) return value;
    return std::nullopt;
  };
}

std::vector<Isa> caps_of(const std::string& list) {
  if (list == "best") return {best_isa()};
  std::vector<Isa> runnable;
  for (Isa isa : kIsas)
    if (cpu_runs(isa)) runnable.push_back(isa);
  std::reverse(runnable.begin(), runnable.end());  // a library's cap is fixed by the first cell: the highest
  if (list == "all") return runnable;
  auto caps = choices<Isa>("isa", list, [](const std::string& word) { return isa_named(word); });
  for (Isa cap : caps)
    if (!cpu_runs(cap))
      support::refuse("--isa=" + std::string(name(cap)) + ": this CPU does not run it", support::kNotSupported);
  return caps;
}

std::vector<int> threads_of(const std::string& list) {
  const int usable = static_cast<int>(support::usable_cpus().size());
  return choices<int>("threads", list, [usable](const std::string& word) -> std::optional<int> {
    if (word == "all") return usable;
    char* end = nullptr;
    const long value = std::strtol(word.c_str(), &end, 10);
    if (*end || value < 1 || value > 1024) return std::nullopt;
    return static_cast<int>(value);
  });
}

void check_implementations(const std::vector<std::string>& wanted) {
  const auto known = implementations();
  for (const std::string& word : wanted)
    if (std::none_of(known.begin(), known.end(),
                     [&](const Implementation* row) { return row->name == word || title(*row) == word; })) {
      std::string names;
      for (std::string_view one : implementation_names()) names += " " + std::string(one);
      support::refuse("--impl=" + word + " is not built; there are:" + names);
    }
}

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
  options.list = options.list || given("benchmark_list_tests");
  if (!given("benchmark_min_time") && !std::getenv("BENCHMARK_MIN_TIME")) flags.push_back("--benchmark_min_time=0.03");
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
      ->expected(1);
  app.add_option("--problem", options.problems, "one layer as a descriptor, e.g. ic64ih56oc64kh3ph1; repeatable")
      ->take_all()
      ->expected(1);
  app.add_option("--layer", options.layers, "only this layer of the workload; repeatable")->take_all()->expected(1);
  app.add_option("--impl", implementations, "name[:isa],...: only these implementations");
  app.add_option("--isa", isa, "best | all | list of baseline,avx2,avx512,neon: highest instruction set used [best]");
  app.add_option("--pass", pass, "data,weights: which gradients [both]");
  app.add_option("--layout", layout, "native,nchw,nhwc: how tensors are handed over [native]");
  app.add_option("--cache", cache, "warm,cold: state of the caches before each execution [warm]");
  app.add_option("--threads", threads, "numbers or all, e.g. 1,2 [1]");
  app.add_option("--batch", options.batch, "replaces the batch of every problem")->check(CLI::Range(1, 1 << 20));
  app.add_option("--rounds", options.rounds, "at least this many shuffled passes over the contenders [1]")
      ->check(CLI::Range(1, 1000));
  app.add_option("--cell_seconds", options.cell_seconds, "more rounds while a cell was timed for less than this")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--row_seconds", options.row_seconds, "skip rows predicted to take longer for one execution")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--exclude", excluded, "name:isa=reason: leave the row out, with this error message; repeatable")
      ->take_all()
      ->expected(1);
  app.add_option("--events", options.events, "append a JSON line to this file before and after every step");
  app.add_option("--seed", options.seed, "of the data and of the shuffling [1]");
  app.add_flag("--list", options.list, "print the names of the benchmarks and exit");
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

  options.implementations = split(implementations);
  check_implementations(options.implementations);
  options.caps = caps_of(isa);
  options.passes = choices<Pass>("pass", pass, one_of({Pass::data, Pass::weights}));
  options.layouts = choices<Layout>("layout", layout, one_of({Layout::native, Layout::nchw, Layout::nhwc}));
  options.caches = choices<Cache>("cache", cache, one_of({Cache::warm, Cache::cold}));
  options.threads = threads_of(threads);
  for (const std::string& exclusion : excluded) {
    const auto equals = exclusion.find('=');
    if (equals == std::string::npos) support::refuse("--exclude=" + exclusion + " has no =reason");
    options.excluded[exclusion.substr(0, equals)] = exclusion.substr(equals + 1);
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
