// SPDX-License-Identifier: Apache-2.0
#include "core/registry.h"

#include <algorithm>

namespace convbwd {

std::vector<const Implementation*> implementations() {
  std::vector<const Implementation*> all;
  for (const Listed& entry : listed())
    if (entry.rows)
      for (std::size_t i = 0; i < entry.rows->count; ++i) all.push_back(entry.rows->first + i);
  return all;
}

std::vector<const Implementation*> implementations_named(std::string_view name) {
  std::vector<const Implementation*> named;
  for (const Implementation* row : implementations())
    if (row->name == name) named.push_back(row);
  return named;
}

std::vector<std::string_view> implementation_names() {
  std::vector<std::string_view> names;
  for (const Implementation* row : implementations())
    if (std::find(names.begin(), names.end(), row->name) == names.end()) names.push_back(row->name);
  return names;
}

const Implementation* best_within(std::string_view name, Isa cap) {
  const Implementation* best = nullptr;
  for (const Implementation* row : implementations_named(name))
    if (within(row->isa, cap) && cpu_runs(row->isa) && (!best || within(best->isa, row->isa))) best = row;
  return best;
}

std::string title(const Implementation& implementation) {
  return std::string(implementation.name) + ":" + std::string(name(implementation.isa));
}

}  // namespace convbwd
