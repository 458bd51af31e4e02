// SPDX-License-Identifier: Apache-2.0
#include <CLI/CLI.hpp>
#include <algorithm>
#include <iomanip>
#include <iostream>
#include <nlohmann/json.hpp>

#include "commands/commands.h"
#include "core/registry.h"

namespace convbwd::commands {
namespace {

void print_json() {
  auto rows = nlohmann::ordered_json::array();
  for (const Listed& entry : listed()) {
    if (!entry.rows) rows.push_back({{"name", entry.folder}, {"built", false}, {"reason", entry.not_built}});
    for (std::size_t i = 0; entry.rows && i < entry.rows->count; ++i) {
      const Implementation& row = entry.rows->first[i];
      const std::string reason = runs_here(row).reason;
      rows.push_back({{"name", row.name},
                      {"isa", name(row.isa)},
                      {"idea", row.idea},
                      {"threaded", row.threaded},
                      {"library", row.library},
                      {"built", true},
                      {"runs_here", reason.empty()},
                      {"reason", reason},
                      {"exact_on_integers", row.exact_on_integers},
                      {"error_constant", row.error_constant},
                      {"mixes_outputs", row.mixes_outputs},
                      {"caps_process", row.caps_process}});
    }
  }
  std::cout << rows.dump(1) << "\n";
}

void print_table() {
  std::vector<std::array<std::string, 5>> lines{{"name", "isa", "threads", "runs here", "idea"}};
  for (const Listed& entry : listed()) {
    if (!entry.rows)
      lines.push_back({std::string(entry.folder), "-", "-", "no", "not built: " + std::string(entry.not_built)});
    for (std::size_t i = 0; entry.rows && i < entry.rows->count; ++i) {
      const Implementation& row = entry.rows->first[i];
      const std::string reason = runs_here(row).reason;
      lines.push_back({std::string(row.name), std::string(name(row.isa)), row.threaded ? "many" : "one",
                       reason.empty() ? "yes" : "no",
                       std::string(row.idea) + (reason.empty() ? "" : " (" + reason + ")")});
    }
  }
  std::array<std::size_t, 5> width{};
  for (const auto& line : lines)
    for (std::size_t column = 0; column + 1 < line.size(); ++column)
      width[column] = std::max(width[column], line[column].size() + 2);
  for (const auto& line : lines) {
    for (std::size_t column = 0; column < line.size(); ++column)
      std::cout << std::left << std::setw(static_cast<int>(width[column])) << line[column];
    std::cout << "\n";
  }
}

}  // namespace

void add_list(CLI::App& app, Invocation&) {
  CLI::App* command =
      app.add_subcommand("list", "every implementation: what it was built for, whether it runs here, its idea");
  const CLI::Option* json = command->add_flag("--json")->description("for programs");
  command->callback([json] { json->count() ? print_json() : print_table(); });
}

}  // namespace convbwd::commands
