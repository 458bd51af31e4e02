// SPDX-License-Identifier: Apache-2.0
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "commands/commands.h"
#include "core/descriptor.h"
#include "support/refuse.h"
#include "support/workloads.h"

namespace convbwd::commands {
namespace {

void print_json(const Workload& workload) {
  auto layers = nlohmann::ordered_json::array(), skipped = nlohmann::ordered_json::array();
  for (const Layer& layer : workload.layers)
    layers.push_back({{"name", layer.name},
                      {"count", layer.count},
                      {"problem", to_string(layer.problem)},
                      {"macs", layer.problem.macs()},
                      {"nominal_macs", layer.problem.nominal_macs()}});
  for (const SkippedLine& skip : workload.skipped)
    skipped.push_back({{"line", skip.line}, {"text", skip.text}, {"reason", skip.reason}});
  const nlohmann::ordered_json document{{"workload", workload.name}, {"layers", layers}, {"skipped", skipped}};
  std::cout << document.dump(1) << "\n";
}

void print_table(const Workload& workload) {
  int width = 5;
  double nominal = 0, useful = 0;
  for (const Layer& layer : workload.layers) width = std::max(width, static_cast<int>(layer.name.size()));
  // Useful: without the taps that fall into the padding; all rates are computed from these.
  std::printf("%-*s  %5s  %14s  %14s  %s\n", width, "", "", "multiply-adds", "multiply-adds", "");
  std::printf("%-*s  %5s  %14s  %14s  %s\n", width, "layer", "count", "nominal", "useful", "problem");
  for (const Layer& layer : workload.layers) {
    std::printf("%-*s  %5td  %14.0f  %14.0f  %s\n", width, layer.name.c_str(), layer.count,
                layer.problem.nominal_macs(), layer.problem.macs(), to_string(layer.problem).c_str());
    nominal += static_cast<double>(layer.count) * layer.problem.nominal_macs();
    useful += static_cast<double>(layer.count) * layer.problem.macs();
  }
  std::printf("%-*s  %5s  %14.0f  %14.0f  one pass through all layers\n", width, workload.name.c_str(), "", nominal,
              useful);
  for (const SkippedLine& skip : workload.skipped)
    std::printf("skipped line %td, %s: %s\n", skip.line, skip.text.c_str(), skip.reason.c_str());
  std::fflush(stdout);
}

}  // namespace

void add_layers(CLI::App& app, Invocation&) {
  struct Arguments {
    std::string workload, problem;
    Dim batch = 0;
    bool json = false;
  };
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("layers", "what a workload holds, as it is understood");
  CLI::Option* workload = command->add_option("--workload", arguments->workload, "shipped, or a file of descriptors");
  CLI::Option* problem = command->add_option("--problem", arguments->problem, "one layer as a descriptor");
  workload->excludes(problem);
  command->add_option("--batch", arguments->batch, "replaces the batch of every layer")->check(CLI::Range(1, 1 << 20));
  command->add_flag("--json", arguments->json, "for programs");
  command->callback([=] {
    if (!*workload && !*problem) support::refuse("layers needs --workload or --problem");
    const auto list = [](const CLI::Option* option, const std::string& value) {
      return *option ? std::vector<std::string>{value} : std::vector<std::string>{};
    };
    const Workload read = support::workloads_or_exit(list(workload, arguments->workload),
                                                     list(problem, arguments->problem), arguments->batch)
                              .front();
    arguments->json ? print_json(read) : print_table(read);
  });
}

}  // namespace convbwd::commands
