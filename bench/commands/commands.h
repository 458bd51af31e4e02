// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace CLI {
class App;
}

namespace convbwd::commands {

/// How the program was called, and what it is to return.
struct Invocation {
  char** argv;  // for programs that start themselves again with another environment
  int exit_code = 0;
};

// Each adds one subcommand to the tool; when it is given, it runs at the end of parsing. `invocation` outlives the app.

void add_list(CLI::App& app, Invocation& invocation);
void add_layers(CLI::App& app, Invocation& invocation);
void add_explain(CLI::App& app, Invocation& invocation);
void add_apply(CLI::App& app, Invocation& invocation);
void add_check(CLI::App& app, Invocation& invocation);
void add_machine(CLI::App& app, Invocation& invocation);
void add_peak(CLI::App& app, Invocation& invocation);

}  // namespace convbwd::commands
