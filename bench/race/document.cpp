// SPDX-License-Identifier: Apache-2.0
#include "race/document.h"

#include <nlohmann/json.hpp>
#include <sstream>

#include "core/descriptor.h"
#include "support/refuse.h"

namespace convbwd::race {

Facts facts_of(const Cell& cell, const Options& options) {
  const auto whole = [](double count) { return std::to_string(static_cast<long long>(count)); };
  return {
      {"pass", std::string(name(cell.pass))},
      {"workload", cell.workload},
      {"layer", cell.layer},
      {"count", std::to_string(cell.count)},
      {"problem", to_string(cell.problem)},
      {"layout", std::string(name(cell.layout))},
      {"cache", std::string(name(cell.cache))},
      {"threads", std::to_string(cell.threads)},
      {"isa_cap", std::string(name(cell.cap))},
      {"batch", std::to_string(cell.problem.N)},
      {"macs", whole(cell.problem.macs())},
      {"nominal_macs", whole(cell.problem.nominal_macs())},
      {"seed", std::to_string(options.seed)},
  };
}

std::string document(const std::vector<benchmark::BenchmarkReporter::Run>& runs, const Facts& common,
                     const std::vector<Facts>& cells) {
  std::ostringstream text;
  benchmark::JSONReporter json;
  json.SetOutputStream(&text);
  json.SetErrorStream(&text);
  json.ReportContext(benchmark::BenchmarkReporter::Context());
  if (!runs.empty()) json.ReportRuns(runs);
  json.Finalize();

  auto parsed = nlohmann::ordered_json::parse(text.str() + (runs.empty() ? "]}" : ""), nullptr, false);
  if (parsed.is_discarded()) support::refuse("Google Benchmark wrote a document that is not JSON", support::kFailed);
  auto& context = parsed["context"];
  context["convbwd_schema"] = "1";
  context["host_name"] = "";
  context["executable"] = "convbwd_bench";  // not where it lies
  for (const auto& [key, value] : common) context[key] = value;
  if (cells.size() == 1) {
    for (const auto& [key, value] : cells.front()) context[key] = value;
  } else {
    auto& list = context["cells"] = nlohmann::ordered_json::array();
    for (const Facts& facts : cells) {
      nlohmann::ordered_json entry;
      for (const auto& [key, value] : facts) entry[key] = value;
      list.push_back(std::move(entry));
    }
  }
  return parsed.dump(1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace convbwd::race
