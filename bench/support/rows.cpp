// SPDX-License-Identifier: Apache-2.0
#include "support/rows.h"

#include "core/descriptor.h"
#include "support/refuse.h"

namespace convbwd::support {
namespace {

template <class Names>
std::string listed_as_words(const Names& names) {
  std::string words;
  for (const auto& each : names) words += " " + std::string(each);
  return words;
}

}  // namespace

const Implementation& row_or_exit(const std::string& wanted) {
  const auto colon = wanted.find(':');
  const std::string wanted_name = wanted.substr(0, colon);
  const auto rows = implementations_named(wanted_name);
  if (rows.empty()) {
    for (const Listed& entry : listed())
      if (!entry.rows && entry.folder == wanted_name)
        refuse(wanted_name + " was not built: " + std::string(entry.not_built), kNotSupported);
    refuse("no implementation is called " + excerpt(wanted_name) +
           "; there are:" + listed_as_words(implementation_names()));
  }
  const Implementation* row = nullptr;
  if (colon == std::string::npos) {
    row = best_within(wanted_name, best_isa());
    if (!row) refuse("this CPU runs no row of " + wanted_name, kNotSupported);
    return *row;
  }
  std::vector<std::string_view> isas;
  for (const Implementation* candidate : rows) {
    isas.push_back(name(candidate->isa));
    if (isas.back() == wanted.substr(colon + 1)) row = candidate;
  }
  if (!row)
    refuse(wanted_name + " is not there for " + excerpt(wanted.substr(colon + 1)) +
           "; it is for:" + listed_as_words(isas));
  if (const Support here = runs_here(*row); !here) refuse(title(*row) + ": " + here.reason, kNotSupported);
  return *row;
}

}  // namespace convbwd::support
