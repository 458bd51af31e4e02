// SPDX-License-Identifier: Apache-2.0
#include <CLI/CLI.hpp>
#include <iostream>

#include "commands/commands.h"
#include "core/descriptor.h"
#include "support/derivation.h"
#include "support/refuse.h"

namespace convbwd::commands {

void add_explain(CLI::App& app, Invocation&) {
  CLI::App* command = app.add_subcommand("explain", "both gradients of a small layer, written out from the definition");
  const CLI::Option* text = command->add_option("--problem")->description("e.g. mb1ic1ih3oc1kh2")->required();
  command->callback([text] {
    const Descriptor descriptor = parse_descriptor(text->as<std::string>());
    if (!descriptor) support::refuse("--problem: " + descriptor.error);
    if (const std::string reason = support::too_big_to_derive(descriptor.problem); !reason.empty())
      support::refuse("--problem: " + reason);
    std::cout << to_string(descriptor.problem) << "\n" << support::derivation(descriptor.problem);
  });
}

}  // namespace convbwd::commands
