// SPDX-License-Identifier: Apache-2.0
#include "race/document.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
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

void require_writable(const std::string& file) {
  const std::filesystem::path path(file), folder = path.has_parent_path() ? path.parent_path() : ".";
  std::error_code code;
  const auto status = std::filesystem::symlink_status(path, code);
  if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status))
    support::refuse("--benchmark_out=" + file + " is there and is not a regular file");
  if (access(folder.c_str(), W_OK | X_OK) != 0)
    support::refuse("--benchmark_out=" + file + ": cannot write to its folder: " + std::strerror(errno));
}

void write_whole(const std::string& file, const std::string& text) {
  const std::string temporary = file + ".tmp." + std::to_string(getpid());
  const auto give_up = [&](const char* what) {
    const int error = errno;
    unlink(temporary.c_str());
    support::refuse(std::string("cannot ") + what + " " + file + ": " + std::strerror(error),
                    error == ENOSPC ? support::kFailed : support::kUsage);
  };
  const int descriptor = open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (descriptor < 0) give_up("create");
  for (std::size_t at = 0; at < text.size();) {
    const ssize_t written = write(descriptor, text.data() + at, text.size() - at);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) give_up("write");
    at += static_cast<std::size_t>(written);
  }
  if (fsync(descriptor) != 0) give_up("sync");
  if (close(descriptor) != 0) give_up("close");
  if (std::rename(temporary.c_str(), file.c_str()) != 0) give_up("rename into");
}

}  // namespace convbwd::race
