// SPDX-License-Identifier: Apache-2.0
#include "core/workload.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <map>
#include <set>

#include "core/descriptor.h"

namespace convbwd {
namespace {

constexpr std::size_t kMostNameLetters = 200;

/// The next word of a line; white space inside double quotes belongs to it. Empty at the end or at a comment.
std::string_view next_word(std::string_view& line) {
  constexpr std::string_view kSpace = " \t\r\v\f";
  line.remove_prefix(std::min(line.find_first_not_of(kSpace), line.size()));
  if (line.starts_with('#')) line = {};
  std::size_t length = 0;
  for (bool inside = false; length < line.size(); ++length) {
    if (line[length] == '"') inside = !inside;
    if (!inside && kSpace.find(line[length]) != kSpace.npos) break;
  }
  const std::string_view word = line.substr(0, length);
  line.remove_prefix(length);
  return word;
}

/// f32, or a list that has it (benchdnn runs all combinations): "f32", "f32:f32:f32", "f32_wino", "bf16,f32".
bool has_f32(std::string_view types) {
  while (!types.empty()) {
    const std::string_view type = types.substr(0, types.find(','));
    if (type == "f32" || type == "f32:f32:f32" || type.starts_with("f32_")) return true;
    types.remove_prefix(std::min(type.size() + 1, types.size()));
  }
  return false;
}

class Parser {
 public:
  explicit Parser(std::string_view name) { workload_.name = escaped(name); }

  Workload parse(std::string_view text) {
    if (const auto zero = text.find('\0'); zero != text.npos) {
      workload_.error = "byte " + std::to_string(zero) + " is 0: not a text file";
      return std::move(workload_);
    }
    for (line_ = 1; !text.empty() && workload_; ++line_) {
      std::string_view line = text.substr(0, text.find('\n'));
      text.remove_prefix(std::min(line.size() + 1, text.size()));
      for (std::string_view word = next_word(line); !word.empty() && workload_; word = next_word(line))
        word.starts_with('-') ? option(word) : layer(word);
    }
    if (workload_ && workload_.layers.empty() && workload_.skipped.empty()) workload_.error = "there is no layer in it";
    return std::move(workload_);
  }

 private:
  void fail(const std::string& what) { workload_.error = "line " + std::to_string(line_) + ": " + what; }
  void skip(std::string_view text, std::string reason) {
    workload_.skipped.push_back({line_, excerpt(text), std::move(reason)});
  }

  void option(std::string_view word) {
    const auto equals = word.find('=');
    const std::string_view option = word.substr(0, equals);
    const std::string_view value = equals == word.npos ? std::string_view{} : word.substr(equals + 1);
    if (option == "--reset") {
      batch_ = 0;
      types_.clear();
    } else if (option == "--mb") {
      const auto read = std::from_chars(value.data(), value.data() + value.size(), batch_);
      if (read.ec != std::errc() || read.ptr != value.data() + value.size() || batch_ < 0)
        fail("--mb needs a whole number, not \"" + excerpt(value) + "\"");
    } else if (option == "--dt" || option == "--cfg") {
      types_ = has_f32(value) ? "" : excerpt(value);
    } else if (option == "--batch") {
      skip(word, "another file of descriptors; name it as a workload of its own");
    }
  }

  void layer(std::string_view word) {
    Descriptor descriptor = parse_descriptor(word);
    if (descriptor.unsupported) return skip(word, descriptor.error);
    if (!descriptor) return fail(descriptor.error);
    if (!types_.empty()) return skip(word, "type " + types_ + ": only f32");
    if (batch_) {
      descriptor.problem.N = batch_;
      if (std::string fault = fault_of(descriptor.problem); !fault.empty()) return fail("--mb: " + fault);
    }
    workload_.layers.push_back({unique(layer_name(descriptor)), descriptor.count, descriptor.problem});
  }

  /// "resnet50:conv1" inside resnet50 is conv1; without a name, the descriptor is the name.
  std::string layer_name(const Descriptor& descriptor) const {
    std::string_view name = descriptor.name;
    if (const auto colon = name.find(':'); colon != name.npos && escaped(name.substr(0, colon)) == workload_.name)
      name.remove_prefix(colon + 1);
    return escaped(name.empty() ? to_string(descriptor.problem) : name);
  }

  std::string unique(const std::string& name) {
    std::string candidate = name;
    while (!taken_.insert(candidate).second) {
      const std::string suffix = "_" + std::to_string(++repeats_[name] + 1);
      candidate = name.substr(0, kMostNameLetters - suffix.size()) + suffix;
    }
    return candidate;
  }

  Workload workload_;
  Dim line_ = 0;
  Dim batch_ = 0;      // 0: as the descriptor says
  std::string types_;  // not f32; empty: f32
  std::set<std::string> taken_;
  std::map<std::string, Dim> repeats_;  // of a layer's name
};

}  // namespace

Workload parse_workload(std::string_view name, std::string_view text) { return Parser(name).parse(text); }

Workload read_workload(const std::filesystem::path& file) {
  const auto failed = [&](std::string error) {
    Workload workload;
    workload.name = escaped(file.stem().string());
    workload.error = std::move(error);
    return workload;
  };
  std::error_code code;
  if (!std::filesystem::exists(file, code)) return failed("no such file");
  if (!std::filesystem::is_regular_file(file, code)) return failed("not a regular file");
  std::ifstream stream(file, std::ios::binary);
  std::string text(kMostWorkloadBytes + 1, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!stream.is_open() || stream.bad()) return failed("cannot be read");
  text.resize(static_cast<std::size_t>(stream.gcount()));
  if (text.size() > kMostWorkloadBytes) return failed("larger than 4 MiB");
  return parse_workload(file.stem().string(), text);
}

std::string escaped(std::string_view name) {
  std::string safe(name.substr(0, kMostNameLetters));
  for (char& letter : safe) {
    const bool plain = (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') ||
                       (letter >= '0' && letter <= '9') || letter == '_' || letter == '.' || letter == '-';
    if (!plain) letter = '_';
  }
  return safe.empty() ? "_" : safe;
}

}  // namespace convbwd
