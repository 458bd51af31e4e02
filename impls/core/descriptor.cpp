// SPDX-License-Identifier: Apache-2.0
#include "core/descriptor.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

namespace convbwd {
namespace {

constexpr std::array<std::string_view, 22> kFields{"g",  "mb", "ic", "id", "ih", "iw", "oc", "od", "oh", "ow", "kd",
                                                   "kh", "kw", "sd", "sh", "sw", "pd", "ph", "pw", "dd", "dh", "dw"};
constexpr Dim kMostCount = 1'000'000;

constexpr bool is_digit(char letter) { return letter >= '0' && letter <= '9'; }

/// The numbers as they were written, by field.
class Numbers {
 public:
  std::optional<Dim>& of(std::string_view field) { return values_[index(field)]; }
  const std::optional<Dim>& of(std::string_view field) const { return values_[index(field)]; }
  Dim or_else(std::string_view field, Dim otherwise) const { return of(field).value_or(otherwise); }

  bool any_depth() const {
    for (std::size_t i = 0; i < kFields.size(); ++i)
      if (kFields[i].size() == 2 && kFields[i][1] == 'd' && values_[i]) return true;
    return false;
  }

 private:
  static std::size_t index(std::string_view field) {
    return static_cast<std::size_t>(std::find(kFields.begin(), kFields.end(), field) - kFields.begin());
  }
  std::array<std::optional<Dim>, kFields.size()> values_;
};

std::string quoted(std::string_view text) { return "\"" + excerpt(text) + "\""; }

/// Splits the text into numbers and the rest behind `n`. Returns the error.
std::string read_fields(std::string_view text, Numbers& numbers, std::optional<std::string_view>& rest) {
  if (text.empty()) return "the descriptor is empty";
  while (!text.empty()) {
    if (text.front() == '_') {
      text.remove_prefix(1);
      continue;
    }
    if (text.front() == 'n') {
      rest = text.substr(1);
      break;
    }
    const auto known =
        std::find_if(kFields.begin(), kFields.end(), [&](auto field) { return text.starts_with(field); });
    if (known == kFields.end()) return "unknown field at " + quoted(text);
    const std::string field(*known);
    text.remove_prefix(field.size());
    const auto digits = std::find_if_not(text.begin(), text.end(), is_digit) - text.begin();
    const std::string_view number = text.substr(0, static_cast<std::size_t>(digits));
    if (number.empty()) return field + " needs a number, not " + quoted(text);
    text.remove_prefix(number.size());
    Dim value = 0;
    if (std::from_chars(number.data(), number.data() + number.size(), value).ec != std::errc() || value >= Dim{1} << 31)
      return field + " is " + excerpt(number) + ", too large";
    if (const bool may_be_zero = field[0] == 'p' || field[0] == 'd'; value == 0 && !may_be_zero)
      return field + " is 0, must be at least 1";
    std::optional<Dim>& slot = numbers.of(field);
    if (slot && *slot != value)
      return field + " is given twice, as " + std::to_string(*slot) + " and " + std::to_string(value);
    slot = value;
  }
  return {};
}

/// Reads  "name*count"  with or without quotes. A tail that is no number belongs to the name.
std::string read_name(std::string_view text, Descriptor& descriptor) {
  if (text.size() >= 2 && text.front() == '"' && text.back() == '"') text = text.substr(1, text.size() - 2);
  if (const auto star = text.rfind('*'); star != std::string_view::npos) {
    const std::string_view tail = text.substr(star + 1);
    const bool negative = tail.starts_with('-');
    const std::string_view digits = tail.substr(negative ? 1 : 0);
    if (!digits.empty() && std::all_of(digits.begin(), digits.end(), is_digit)) {
      const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), descriptor.count);
      if (negative || read.ec != std::errc() || descriptor.count < 1 || descriptor.count > kMostCount)
        return "the count behind * in n is " + excerpt(tail) + ", must be 1 to " + std::to_string(kMostCount);
      text = text.substr(0, star);
    }
  }
  descriptor.name = text;
  return {};
}

/// Rows, or columns: what was written, then what follows from it.
struct Axis {
  std::string_view in, filter, out, pad;  // names of the fields
  Dim extent = 0, taps = 0, outputs = 0, stride = 1, dilation = 1, pad_before = 0;

  std::string read(const Numbers& numbers, std::string_view stride_field, std::string_view dilation_field) {
    for (std::string_view field : {in, filter})
      if (!numbers.of(field)) return std::string(field) + " is required";
    extent = *numbers.of(in);
    taps = *numbers.of(filter);
    stride = numbers.or_else(stride_field, 1);
    dilation = numbers.or_else(dilation_field, 0) + 1;
    const Dim window = dilation * (taps - 1) + 1;
    if (const auto given = numbers.of(out)) {
      outputs = *given;
      const Dim total_pad = (outputs - 1) * stride + window - extent;
      pad_before = numbers.or_else(pad, std::max<Dim>(total_pad, 0) / 2);
      return {};
    }
    pad_before = numbers.or_else(pad, 0);
    const Dim padded = extent + 2 * pad_before;
    if (padded < window)
      return std::string(out) + " would be less than 1: a window of " + std::to_string(window) +
             " on a padded image of " + std::to_string(padded);
    outputs = (padded - window) / stride + 1;
    return {};
  }
};

/// From numbers to the problem. Returns the error.
std::string deduce(const Numbers& numbers, Descriptor& descriptor) {
  const auto any = [&](auto... fields) { return (numbers.of(fields).has_value() || ...); };
  const bool height = any("ih", "kh", "oh") || numbers.or_else("dh", 0) > 0 || numbers.or_else("sh", 1) != 1 ||
                      numbers.or_else("ph", 0) > 0;
  bool width = any("iw", "kw", "ow") || numbers.or_else("dw", 0) > 0 || numbers.or_else("sw", 1) != 1 ||
               numbers.or_else("pw", 0) > 0;
  if (numbers.any_depth() || (width && !height)) {
    descriptor.unsupported = true;
    return numbers.any_depth() ? "3-D convolution (a field of depth: id kd od sd pd dd)"
                               : "1-D convolution (no ih and kh)";
  }
  for (std::string_view field : {"ic", "oc"})
    if (!numbers.of(field)) return std::string(field) + " is required";

  Axis rows{"ih", "kh", "oh", "ph"};
  if (std::string error = rows.read(numbers, "sh", "dh"); !error.empty()) return error;
  width = width || (numbers.of("pw") && *numbers.of("pw") != rows.pad_before);
  Axis columns = rows;
  if (width) {
    columns = Axis{"iw", "kw", "ow", "pw"};
    if (std::string error = columns.read(numbers, "sw", "dw"); !error.empty()) return error;
  }
  descriptor.problem = {.N = numbers.or_else("mb", 2),
                        .G = numbers.or_else("g", 1),
                        .C = *numbers.of("ic"),
                        .H = rows.extent,
                        .W = columns.extent,
                        .K = *numbers.of("oc"),
                        .R = rows.taps,
                        .S = columns.taps,
                        .P = rows.outputs,
                        .Q = columns.outputs,
                        .stride_h = rows.stride,
                        .stride_w = columns.stride,
                        .dilation_h = rows.dilation,
                        .dilation_w = columns.dilation,
                        .pad_top = rows.pad_before,
                        .pad_left = columns.pad_before};
  return fault_of(descriptor.problem);
}

}  // namespace

std::string excerpt(std::string_view text) {
  constexpr std::size_t kMost = 40;
  std::string shown(text.substr(0, text.size() <= kMost ? kMost : kMost - 3));
  for (char& letter : shown)
    if (letter < ' ' || letter > '~') letter = '?';
  return text.size() <= kMost ? shown : shown + "...";
}

Descriptor parse_descriptor(std::string_view text) {
  Descriptor descriptor;
  Numbers numbers;
  std::optional<std::string_view> rest;
  descriptor.error = read_fields(text, numbers, rest);
  if (descriptor && rest) descriptor.error = read_name(*rest, descriptor);
  if (descriptor) descriptor.error = deduce(numbers, descriptor);
  return descriptor;
}

std::string to_string(const Problem& problem) {
  const bool square = problem.H == problem.W && problem.R == problem.S && problem.P == problem.Q &&
                      problem.stride_h == problem.stride_w && problem.dilation_h == problem.dilation_w &&
                      problem.pad_top == problem.pad_left;
  std::string text;
  const auto add = [&text](const char* field, Dim value) { text += field + std::to_string(value); };
  const auto add_pair = [&](const char* height_field, Dim height, const char* width_field, Dim width) {
    add(height_field, height);
    if (!square) add(width_field, width);
  };
  if (problem.G != 1) add("g", problem.G);
  add("mb", problem.N);
  add("ic", problem.C);
  add_pair("ih", problem.H, "iw", problem.W);
  add("oc", problem.K);
  add_pair("oh", problem.P, "ow", problem.Q);
  add_pair("kh", problem.R, "kw", problem.S);
  if (problem.stride_h != 1 || problem.stride_w != 1) add_pair("sh", problem.stride_h, "sw", problem.stride_w);
  add_pair("ph", problem.pad_top, "pw", problem.pad_left);
  if (problem.dilation_h != 1 || problem.dilation_w != 1)
    add_pair("dh", problem.dilation_h - 1, "dw", problem.dilation_w - 1);
  return text;
}

}  // namespace convbwd
