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

Support runs_here(const Implementation& row) {
  return cpu_runs(row.isa) ? yes() : no("this CPU does not run " + std::string(name(row.isa)));
}

Support takes_part(const Implementation& row, const Problem& problem, Pass pass, const Caps& caps) {
  if (Support here = runs_here(row); !here) return here;
  const std::string isa(name(row.isa));
  if (!within(row.isa, caps.row)) return no("needs " + isa + ", the cap is " + std::string(name(caps.row)));
  if (row.caps_process && best_within(row.name, caps.process) != &row)
    return no("the library's instruction set is fixed once per process; run with --isa=" + isa + " alone");
  return row.supports(problem, pass);
}

std::string title(const Implementation& implementation) {
  return std::string(implementation.name) + ":" + std::string(name(implementation.isa));
}

}  // namespace convbwd
