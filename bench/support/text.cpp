// SPDX-License-Identifier: Apache-2.0
#include "support/text.h"

#include <charconv>
#include <fstream>
#include <iterator>

namespace convbwd::support {

std::string text_of(const std::string& file) {
  std::ifstream in(file);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string first_line(const std::string& file) {
  const std::string text = text_of(file);
  return text.substr(0, text.find('\n'));
}

std::string value_of(std::string_view text, std::string_view key) {
  constexpr std::string_view kBlank = " \t:";
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (!line.starts_with(key)) continue;
    line.remove_prefix(key.size());
    const std::size_t begin = line.find_first_not_of(kBlank);
    if (begin == std::string_view::npos) return {};
    return std::string(line.substr(begin, line.find_last_not_of(kBlank) - begin + 1));
  }
  return {};
}

std::string or_unknown(std::string text) { return text.empty() ? std::string(kUnknown) : text; }

std::vector<int> numbers_in(std::string_view list) {
  std::vector<int> numbers;
  const char* at = list.data();
  const char* const end = at + list.size();
  int first = 0;
  for (auto read = std::from_chars(at, end, first); read.ec == std::errc(); read = std::from_chars(at, end, first)) {
    int last = first;
    if (at = read.ptr; at != end && *at == '-') at = std::from_chars(at + 1, end, last).ptr;
    for (int number = first; number <= last; ++number) numbers.push_back(number);
    if (at == end || *at++ != ',') break;
  }
  return numbers;
}

std::size_t bytes_in(std::string_view size) {
  std::size_t bytes = 0;
  const auto [at, error] = std::from_chars(size.data(), size.data() + size.size(), bytes);
  if (error != std::errc()) return 0;
  const char unit = at == size.data() + size.size() ? ' ' : *at;
  return bytes << (unit == 'K' ? 10 : unit == 'M' ? 20 : unit == 'G' ? 30 : 0);
}

}  // namespace convbwd::support
