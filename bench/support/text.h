// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace convbwd::support {

/// Facts that go with results, in order; every value is text.
using Facts = std::vector<std::pair<std::string, std::string>>;

/// What is said of anything that cannot be read. Nothing is ever guessed.
inline constexpr std::string_view kUnknown = "unknown";

/// All of a file, or nothing if it cannot be read.
std::string text_of(const std::string& file);

/// The first line of a file without its newline, or nothing.
std::string first_line(const std::string& file);

/// The rest of the first line that begins with `key`, without blanks, tabs and colons around it; or nothing.
std::string value_of(std::string_view text, std::string_view key);

/// The text, or "unknown" where there is none.
std::string or_unknown(std::string text);

/// "0-2,5" as 0 1 2 5, the kernel's way to list CPUs; anything else ends the list.
std::vector<int> numbers_in(std::string_view list);

/// A size as the kernel writes it, "32K" or "8M", in bytes; 0 if it is not one.
std::size_t bytes_in(std::string_view size);

}  // namespace convbwd::support
