// SPDX-License-Identifier: Apache-2.0
#include "support/selection.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <sstream>

#include "core/descriptor.h"
#include "core/registry.h"
#include "support/refuse.h"
#include "support/threads.h"

namespace convbwd::support {
namespace {

/// Each word through `named`, which knows the word or does not.
template <class T, class Named>
std::vector<T> chosen(const std::string& flag, const std::string& list, const std::string& known, Named named) {
  std::vector<T> values;
  for (const std::string& word : words_of(list)) {
    const std::optional<T> value = named(word);
    if (!value) refuse("--" + flag + "=" + excerpt(word) + " is not one of " + known);
    if (std::find(values.begin(), values.end(), *value) == values.end()) values.push_back(*value);
  }
  if (values.empty()) refuse("--" + flag + " is empty; it takes " + known);
  return values;
}

template <class T>
auto by_name(std::initializer_list<T> values) {
  return [values = std::vector<T>(values)](const std::string& word) -> std::optional<T> {
    for (T value : values)
      if (name(value) == word) return value;
    return std::nullopt;
  };
}

}  // namespace

std::vector<std::string> words_of(const std::string& list) {
  std::vector<std::string> words;
  std::istringstream stream(list);
  for (std::string word; std::getline(stream, word, ',');)
    if (!word.empty()) words.push_back(word);
  return words;
}

std::vector<Pass> passes_of(const std::string& list) {
  return chosen<Pass>("pass", list, "data, weights", by_name({Pass::data, Pass::weights}));
}

std::vector<Layout> layouts_of(const std::string& list) {
  return chosen<Layout>("layout", list, "native, nchw, nhwc", by_name({Layout::native, Layout::nchw, Layout::nhwc}));
}

std::vector<int> threads_of(const std::string& list) {
  return chosen<int>("threads", list, "1, 2, ..., all", [](const std::string& word) -> std::optional<int> {
    if (word == "all") return static_cast<int>(usable_cpus().size());
    int threads = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), threads);
    if (error != std::errc() || end != word.data() + word.size() || threads < 1) return std::nullopt;
    if (const std::size_t usable = usable_cpus().size(); static_cast<std::size_t>(threads) > usable)
      refuse("--threads=" + word + ": this process may keep " + std::to_string(usable) +
             (usable == 1 ? " CPU" : " CPUs") + " busy");
    return threads;
  });
}

std::vector<Isa> isas_of(const std::string& list) {
  if (list == "best") return {best_isa()};
  if (list == "all") {
    std::vector<Isa> runnable;
    std::copy_if(std::begin(kIsas), std::end(kIsas), std::back_inserter(runnable), cpu_runs);
    std::reverse(runnable.begin(), runnable.end());
    return runnable;
  }
  const auto isas = chosen<Isa>("isa", list, "best, all, baseline, avx2, avx512, neon", isa_named);
  for (Isa isa : isas)
    if (!cpu_runs(isa)) refuse("--isa=" + std::string(name(isa)) + ": this CPU does not run it", kNotSupported);
  return isas;
}

std::vector<std::string> implementations_of(const std::string& list) {
  const auto known = implementations();
  const auto words = words_of(list);
  for (const std::string& word : words) {
    if (std::any_of(known.begin(), known.end(),
                    [&](const Implementation* row) { return names_row({word}, row->name, title(*row)); }))
      continue;
    std::string names;
    for (std::string_view one : implementation_names()) names += " " + std::string(one);
    refuse("--impl=" + excerpt(word) + " is not built; there are:" + names);
  }
  return words;
}

bool names_row(const std::vector<std::string>& words, std::string_view name, const std::string& title) {
  return words.empty() || std::any_of(words.begin(), words.end(),
                                      [&](const std::string& word) { return word == name || word == title; });
}

}  // namespace convbwd::support
