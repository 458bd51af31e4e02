// SPDX-License-Identifier: Apache-2.0
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <exception>
#include <map>
#include <memory>

#include "commands/commands.h"
#include "core/proof.h"
#include "core/registry.h"
#include "support/refuse.h"
#include "support/selection.h"
#include "support/threads.h"
#include "support/workloads.h"

namespace convbwd::commands {
namespace {

constexpr std::uint64_t kSeed = 1;

struct Arguments {
  std::vector<std::string> problems, workloads;
  std::string implementations, isa = "best", pass = "data,weights", layout = "native", threads = "1";
  Dim batch = 0;
};

struct NamedProblem {
  std::string name;
  Problem problem;
};

std::vector<NamedProblem> problems_of(const Arguments& arguments) {
  std::vector<NamedProblem> problems;
  for (const Workload& workload : support::workloads_or_exit(arguments.workloads, arguments.problems, arguments.batch))
    for (const Layer& layer : workload.layers) problems.push_back({workload.name + ":" + layer.name, layer.problem});
  if (problems.empty()) support::refuse("name a --problem or a --workload", support::kNotSupported);
  return problems;
}

struct Entrant {
  const Implementation* row;
  Isa cap;
};

/// Rows asked for by name:isa, and otherwise the best of each implementation within each cap.
std::vector<Entrant> entrants_of(const std::vector<std::string>& words, const std::vector<Isa>& caps) {
  std::vector<Entrant> entrants;
  for (const Implementation* row : implementations()) {
    const bool by_title = std::find(words.begin(), words.end(), title(*row)) != words.end();
    if (!by_title && !support::names_row(words, row->name, "")) continue;
    const auto cap = std::find_if(caps.begin(), caps.end(), [&](Isa each) {
      return by_title ? within(row->isa, each) : best_within(row->name, each) == row;
    });
    if (cap != caps.end())
      entrants.push_back({row, *cap});
    else if (by_title)
      entrants.push_back({row, caps.front()});
  }
  return entrants;
}

/// What became of one row on all problems.
struct Tally {
  int right = 0, wrong = 0, failed = 0;
  double error_ratio = 0;
  std::map<std::string, int> skipped;  // by reason
};

void report(const char* what, const std::string& row, const NamedProblem& named, Pass pass, const std::string& why) {
  std::printf("%s: %s %s %s: %s\n", what, row.c_str(), std::string(name(pass)).c_str(), named.name.c_str(),
              why.c_str());
}

void check_row(const Implementation& row, const NamedProblem& named, Pass pass, const PlanOptions& options,
               const Reference (&references)[2], Tally& tally) {
  try {
    Session session(row, named.problem, pass, options);
    for (const Reference& reference : references) {
      const Verdict verdict = prove(session, reference);
      tally.error_ratio = std::max(tally.error_ratio, verdict.error_ratio);
      if (verdict) continue;
      report("wrong", title(row), named, pass, verdict.wrong);
      tally.wrong++;
      return;
    }
    tally.right++;
  } catch (const std::exception& error) {
    report("failed", title(row), named, pass, error.what());
    tally.failed++;
  }
}

void check(const Arguments& arguments, Invocation& invocation) {
  const auto words = support::implementations_of(arguments.implementations);
  const auto caps = support::isas_of(arguments.isa);
  const auto passes = support::passes_of(arguments.pass);
  const auto layouts = support::layouts_of(arguments.layout);
  const auto threads = support::threads_of(arguments.threads);
  const auto problems = problems_of(arguments);
  const auto entrants = entrants_of(words, caps);
  support::set_environment_and_reexec(invocation.argv, caps.front());

  double growth = 1;
  for (const auto& [row, cap] : entrants) growth = std::max(growth, row->integer_growth);
  std::map<const Implementation*, Tally> tallies;
  for (const NamedProblem& named : problems)
    for (Pass pass : passes) {
      const Reference references[] = {Reference(named.problem, pass, Data::integers, growth, kSeed),
                                      Reference(named.problem, pass, Data::normal, growth, kSeed)};
      for (const auto& [row, cap] : entrants) {
        Tally& tally = tallies[row];
        if (const Support support = takes_part(*row, named.problem, pass, {cap, caps.front()}); !support) {
          tally.skipped[support.reason]++;
          continue;
        }
        for (Layout layout : layouts)
          for (int count : threads) check_row(*row, named, pass, {count, layout, {}}, references, tally);
      }
    }

  int right = 0, wrong = 0, failed = 0;
  for (const auto& [row, cap] : entrants) {
    const Tally& tally = tallies[row];
    std::printf("%-24s %5d right, %d wrong, %d failed, error at most %.3f of the allowed", title(*row).c_str(),
                tally.right, tally.wrong, tally.failed, tally.error_ratio);
    for (const auto& [reason, count] : tally.skipped) std::printf("; %d skipped (%s)", count, reason.c_str());
    std::printf("\n");
    right += tally.right, wrong += tally.wrong, failed += tally.failed;
  }
  std::fflush(stdout);
  invocation.exit_code = wrong    ? support::kWrong
                         : failed ? support::kFailed
                         : right  ? support::kGood
                                  : support::kNotSupported;
}

}  // namespace

void add_check(CLI::App& app, Invocation& invocation) {
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("check", "prove implementations right on given problems, without timing them");
  command->add_option("--problem", arguments->problems, "one layer as a descriptor; repeatable")
      ->expected(1)
      ->take_all();
  command->add_option("--workload", arguments->workloads, "shipped workload, or a file; repeatable")
      ->expected(1)
      ->take_all();
  command->add_option("--impl", arguments->implementations, "name[:isa],...: only these");
  command->add_option("--isa", arguments->isa, "best|all|list of baseline,avx2,avx512,neon [best]");
  command->add_option("--pass", arguments->pass, "data,weights [both]");
  command->add_option("--layout", arguments->layout, "native,nchw,nhwc [native]");
  command->add_option("--threads", arguments->threads, "numbers or all, e.g. 1,2 [1]");
  command->add_option("--batch", arguments->batch, "replaces the batch of every problem")
      ->check(CLI::Range(1, 1 << 20));
  command->callback([arguments, &invocation] { check(*arguments, invocation); });
}

}  // namespace convbwd::commands
