// SPDX-License-Identifier: Apache-2.0
#include "support/machine.h"

#include <CLI/CLI.hpp>
#include <iostream>
#include <nlohmann/json.hpp>

#include "commands/commands.h"

namespace convbwd::commands {

void add_machine(CLI::App& app, Invocation&) {
  CLI::App* command = app.add_subcommand("machine", "what every result says about this machine and build");
  const CLI::Option* json = command->add_flag("--json")->description("for programs");
  command->callback([json] {
    nlohmann::ordered_json document;
    for (const auto& [key, value] : support::all_facts()) document[key] = value;
    if (json->count())
      std::cout << document.dump(1, ' ', false, nlohmann::json::error_handler_t::replace) << "\n";
    else
      for (const auto& [key, value] : document.items()) std::cout << key << ": " << value.get<std::string>() << "\n";
  });
}

}  // namespace convbwd::commands
