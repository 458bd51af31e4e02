// SPDX-License-Identifier: Apache-2.0
#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <new>

#include "commands/commands.h"
#include "core/data.h"
#include "core/descriptor.h"
#include "core/session.h"
#include "support/npy.h"
#include "support/refuse.h"
#include "support/rows.h"
#include "support/threads.h"

namespace convbwd::commands {
namespace {

struct Arguments {
  std::string implementation, problem, dy, w, x, out;
  std::string pass, layout = "native";
  int threads = 1;
};

/// The value of this name; the command line has been checked against the names.
template <class T>
T named(std::initializer_list<T> values, std::string_view wanted) {
  return *std::find_if(values.begin(), values.end(), [&](T value) { return name(value) == wanted; });
}
constexpr auto kPasses = {Pass::data, Pass::weights};
constexpr auto kLayouts = {Layout::native, Layout::nchw, Layout::nhwc};

template <class T>
CLI::IsMember one_of(std::initializer_list<T> values) {
  std::vector<std::string> names;
  for (T value : values) names.emplace_back(name(value));
  return CLI::IsMember(names);
}

std::vector<float> computed(const Implementation& row, const Problem& problem, const Arguments& arguments,
                            const std::vector<float>& dy, const std::vector<float>& other) {
  const Pass pass = named(kPasses, arguments.pass);
  Session session(row, problem, pass, {arguments.threads, named(kLayouts, arguments.layout), row.isa});
  const auto load = [&](Role role, const std::vector<float>& values) {
    copy(plain_view(values.data(), problem, role, Layout::nchw), session.input(role));
  };
  load(Role::dy, dy);
  load(inputs_of(pass)[1], other);
  session.prepare();
  session.execute();
  if (const std::string damage = session.damage(); !damage.empty())
    support::refuse(title(row) + ": " + damage, support::kWrong);
  std::vector<float> gradient(static_cast<std::size_t>(problem.elements(output_of(pass))));
  copy(session.output(), plain_view(gradient.data(), problem, output_of(pass), Layout::nchw));
  return gradient;
}

void apply(const Arguments& arguments, char** argv) {
  const Descriptor descriptor = parse_descriptor(arguments.problem);
  if (!descriptor) support::refuse("--problem: " + descriptor.error);
  const Problem& problem = descriptor.problem;
  const Pass pass = named(kPasses, arguments.pass);
  const Role read = inputs_of(pass)[1];
  const std::string of_pass = "--pass " + arguments.pass;
  if ((pass == Pass::data ? arguments.w : arguments.x).empty())
    support::refuse(of_pass + " needs --" + std::string(name(read)));
  if (!(pass == Pass::data ? arguments.x : arguments.w).empty())
    support::refuse(of_pass + " reads dy and " + std::string(name(read)) + " only");
  const Implementation& row = support::row_or_exit(arguments.implementation);
  if (const Support support = row.supports(problem, pass); !support)
    support::refuse(title(row) + " does not support this problem: " + support.reason, support::kNotSupported);

  support::set_environment_and_reexec(argv, row.isa);
  const support::NpyTensor dy = support::read_npy(arguments.dy, problem.shape(Role::dy));
  if (!dy.error.empty()) support::refuse("--dy " + dy.error);
  const support::NpyTensor other =
      support::read_npy(pass == Pass::data ? arguments.w : arguments.x, problem.shape(read));
  if (!other.error.empty()) support::refuse("--" + std::string(name(read)) + " " + other.error);
  std::vector<float> gradient;
  try {
    gradient = computed(row, problem, arguments, dy.values, other.values);
  } catch (const std::bad_alloc&) {
    support::refuse(title(row) + ": not enough memory for this problem", support::kFailed);
  } catch (const std::exception& error) {
    support::refuse(title(row) + ": " + error.what(), support::kFailed);
  }
  const support::Written written = support::write_npy(arguments.out, problem.shape(output_of(pass)), gradient);
  if (!written.error.empty())
    support::refuse("--out " + arguments.out + " " + written.error,
                    written.disk_full ? support::kFailed : support::kUsage);
}

}  // namespace

void add_apply(CLI::App& app, Invocation& invocation) {
  const auto arguments = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("apply", "one gradient of .npy files: float32, N,C,H,W and K,C/G,R,S");
  command->add_option("--impl", arguments->implementation, "NAME or NAME:ISA, see list")->required();
  command->add_option("--pass", arguments->pass, "data: dx from dy and w; weights: dw from dy and x")
      ->required()
      ->check(one_of(kPasses));
  command->add_option("--problem", arguments->problem, "e.g. mb2ic3ih9oc4kh3ph1")->required();
  command->add_option("--threads", arguments->threads, "for rows that are threaded [1]")->check(CLI::Range(1, 1024));
  command->add_option("--layout", arguments->layout, "native|nchw|nhwc: what the implementation is given [native]")
      ->check(one_of(kLayouts));
  command->add_option("--dy", arguments->dy, "output gradient, N,K,P,Q")->required();
  command->add_option("--w", arguments->w, "filters, for --pass data");
  command->add_option("--x", arguments->x, "input, for --pass weights");
  command->add_option("--out", arguments->out, "the gradient: written whole, or not at all")->required();
  command->callback([arguments, &invocation] { apply(*arguments, invocation.argv); });
}

}  // namespace convbwd::commands
