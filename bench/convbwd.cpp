// SPDX-License-Identifier: Apache-2.0
//
// convbwd: the small tool beside the benchmark. What it is asked for goes to stdout, complaints go to stderr in one
// line.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>
#include <stdexcept>

#include "commands/commands.h"
#include "support/refuse.h"

namespace convbwd {
namespace {

constexpr const char* kFooter =
    "A PROBLEM is one convolution in benchdnn's language, e.g. mb8ic64ih56oc64kh3ph1 (batch, channels, height, "
    "filters,\n"
    "filter height, pad; widths follow the heights unless given).\n"
    "Exit codes: 0 good, 1 something was computed wrongly, 2 usage, 3 nothing matched or not supported, 4 failed.";

int run(int argc, char** argv) {
  commands::Invocation invocation{argv};
  CLI::App app("convbwd: what there is to know about the implementations without timing them", "convbwd");
  app.require_subcommand(0, 1);
  app.footer(kFooter);
  for (const auto add : {commands::add_list, commands::add_layers, commands::add_explain, commands::add_apply,
                         commands::add_check, commands::add_machine, commands::add_peak})
    add(app, invocation);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    support::refuse(std::string(error.what()) + "; see --help");
  } catch (const std::exception& error) {
    support::refuse(error.what(), support::kFailed);
  }
  if (app.get_subcommands().empty()) support::refuse("name a subcommand; see --help");
  std::cout.flush();
  if (!std::cout || std::fflush(stdout) != 0 || std::ferror(stdout))
    support::refuse("the output could not be written", support::kFailed);
  return invocation.exit_code;
}

}  // namespace
}  // namespace convbwd

int main(int argc, char** argv) { return convbwd::run(argc, argv); }
