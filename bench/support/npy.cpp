// SPDX-License-Identifier: Apache-2.0
#include "support/npy.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "core/descriptor.h"

namespace convbwd::support {
namespace {

static_assert(std::endian::native == std::endian::little, "numbers are copied as they are");
static_assert(sizeof(float) == 4);

constexpr std::string_view kMagic = "\x93NUMPY";

/// Reads the header's text, a Python dictionary such as
///     {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3, 5, 7), }
/// with each of the three keys once, in any order. The first fault stops it.
class HeaderText {
 public:
  HeaderText(std::string_view text, NpyHeader& header) : rest_(text), header_(header) {}

  void read() {
    bool descr = false, order = false, shape = false;
    expect('{');
    while (good() && !accept('}')) {
      const std::string_view key = string();
      expect(':');
      if (bool* seen = key == "descr" ? &descr : key == "fortran_order" ? &order : key == "shape" ? &shape : nullptr) {
        if (good() && *seen) fail("key '" + std::string(key) + "' is there twice");
        *seen = true;
      }
      if (good()) value(key);
      if (good() && !accept(',') && !next_is('}')) fail("no comma after the value of '" + std::string(key) + "'");
    }
    skip_space();
    if (good() && !rest_.empty()) fail("there is something behind the dictionary");
    if (good() && !(descr && order && shape)) fail("not all of 'descr', 'fortran_order' and 'shape' are there");
  }

 private:
  bool good() const { return header_.error.empty(); }
  void fail(const std::string& what) {
    if (good()) header_.error = "header: " + what;
  }
  void skip_space() { rest_.remove_prefix(std::min(rest_.find_first_not_of(" \t\n\r"), rest_.size())); }
  bool next_is(char letter) {
    skip_space();
    return rest_.starts_with(letter);
  }
  bool accept(char letter) {
    if (!next_is(letter)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void expect(char letter) {
    if (good() && !accept(letter)) fail("expected " + std::string(1, letter) + " at \"" + excerpt(rest_) + "\"");
  }

  std::string_view string() {
    skip_space();
    const char quote = rest_.empty() ? '\0' : rest_.front();
    const auto end = quote == '\'' || quote == '"' ? rest_.find(quote, 1) : rest_.npos;
    if (end == rest_.npos) {
      fail("expected a string at \"" + excerpt(rest_) + "\"");
      return {};
    }
    const std::string_view text = rest_.substr(1, end - 1);
    rest_.remove_prefix(end + 1);
    return text;
  }

  void value(std::string_view key) {
    if (key == "descr") {
      if (!next_is('\'') && !next_is('"'))
        return fail("dtype must be '<f4' (float32), this one is composed of several");
      const std::string_view type = string();
      if (good() && type != "<f4") fail("dtype is '" + excerpt(type) + "', must be '<f4' (float32, little endian)");
    } else if (key == "fortran_order") {
      skip_space();
      if (rest_.starts_with("True")) return fail("the array is in Fortran order, must be in C order");
      if (!rest_.starts_with("False")) return fail("fortran_order is neither True nor False");
      rest_.remove_prefix(std::string_view("False").size());
    } else if (key == "shape") {
      shape();
    } else {
      fail("unknown key '" + excerpt(key) + "'");
    }
  }

  void shape() {
    expect('(');
    while (good() && !accept(')')) {
      skip_space();
      Dim extent = -1;
      const auto read = std::from_chars(rest_.data(), rest_.data() + rest_.size(), extent);
      if (read.ec != std::errc() || extent < 0) return fail("no extent at \"" + excerpt(rest_) + "\" of shape");
      rest_.remove_prefix(static_cast<std::size_t>(read.ptr - rest_.data()));
      header_.shape.push_back(extent);
      if (!accept(',') && !next_is(')')) fail("no comma at \"" + excerpt(rest_) + "\" of shape");
    }
  }

  std::string_view rest_;
  NpyHeader& header_;
};

/// (2, 3, 5, 7), or its beginning.
template <class Extents>
std::string spelled(const Extents& shape) {
  std::string text;
  for (std::size_t i = 0; i < shape.size() && i < 8; ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return "(" + text + (shape.size() > 8 ? ", ..." : shape.size() == 1 ? "," : "") + ")";
}

std::size_t bytes_of(const std::array<Dim, 4>& shape) {
  std::size_t bytes = sizeof(float);
  for (Dim extent : shape) bytes *= static_cast<std::size_t>(extent);
  return bytes;
}

/// Version 1.0, the data on a multiple of 64 bytes as numpy has it.
std::string header_of(const std::array<Dim, 4>& shape) {
  std::string text = "{'descr': '<f4', 'fortran_order': False, 'shape': " + spelled(shape) + ", }";
  constexpr std::size_t kBefore = 10;  // magic, version, length
  text.append(64 - (kBefore + text.size() + 1) % 64, ' ');
  text += '\n';
  std::string header(kMagic);
  header += {'\x01', '\x00', static_cast<char>(text.size() & 0xFF), static_cast<char>(text.size() >> 8)};
  return header + text;
}

}  // namespace

NpyHeader parse_npy_header(std::string_view beginning) {
  NpyHeader header;
  const auto failed = [&header](std::string error) {
    header.error = std::move(error);
    return header;
  };
  const auto byte = [&](std::size_t at) { return static_cast<std::size_t>(static_cast<unsigned char>(beginning[at])); };
  constexpr std::size_t kVersionAt = 6, kLengthAt = 8;
  if (!beginning.starts_with(kMagic)) return failed("not a .npy file");
  if (beginning.size() < kLengthAt) return failed("truncated in its header");
  const std::size_t version = byte(kVersionAt), length_bytes = version == 1 ? 2 : 4;
  if (version < 1 || version > 3 || byte(kVersionAt + 1) != 0)
    return failed(".npy version " + std::to_string(version) + "." + std::to_string(byte(kVersionAt + 1)) +
                  " is not known");
  if (beginning.size() < kLengthAt + length_bytes) return failed("truncated in its header");
  std::size_t length = 0;
  for (std::size_t i = 0; i < length_bytes; ++i) length |= byte(kLengthAt + i) << (8 * i);
  if (length > kMostNpyHeaderBytes)
    return failed("header of " + std::to_string(length) + " bytes, more than " + std::to_string(kMostNpyHeaderBytes));
  header.data_offset = kLengthAt + length_bytes + length;
  if (beginning.size() < header.data_offset) return failed("truncated in its header");
  HeaderText(beginning.substr(kLengthAt + length_bytes, length), header).read();
  return header;
}

NpyTensor read_npy(const std::string& file, const std::array<Dim, 4>& shape) {
  NpyTensor tensor;
  const auto failed = [&](const std::string& error) {
    tensor.error = file + ": " + error;
    return tensor;
  };
  std::error_code code;
  if (!std::filesystem::exists(file, code)) return failed("no such file");
  if (!std::filesystem::is_regular_file(file, code)) return failed("not a regular file");
  std::ifstream stream(file, std::ios::binary);
  if (!stream) return failed(std::string("cannot be opened: ") + std::strerror(errno));

  std::string beginning(12 + kMostNpyHeaderBytes, '\0');
  stream.read(beginning.data(), static_cast<std::streamsize>(beginning.size()));
  beginning.resize(static_cast<std::size_t>(stream.gcount()));
  const NpyHeader header = parse_npy_header(beginning);
  if (!header.error.empty()) return failed(header.error);
  if (!std::equal(header.shape.begin(), header.shape.end(), shape.begin(), shape.end()))
    return failed("shape is " + spelled(header.shape) + ", the problem needs " + spelled(shape));

  const std::size_t wanted = bytes_of(shape), whole = std::filesystem::file_size(file, code);
  if (code) return failed("its size cannot be read");
  if (whole < header.data_offset + wanted)
    return failed("truncated: " + std::to_string(whole - header.data_offset) + " bytes of numbers, must be " +
                  std::to_string(wanted));
  if (whole > header.data_offset + wanted)
    return failed(std::to_string(whole - header.data_offset - wanted) + " bytes too many at the end");
  tensor.values.resize(wanted / sizeof(float));
  stream.clear();
  stream.seekg(static_cast<std::streamoff>(header.data_offset));
  stream.read(reinterpret_cast<char*>(tensor.values.data()), static_cast<std::streamsize>(wanted));
  if (!stream) return failed("cannot be read to its end");
  return tensor;
}

Written write_npy(const std::string& file, const std::array<Dim, 4>& shape, const std::vector<float>& values) {
  const std::string_view numbers(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
  return write_whole(file, {header_of(shape), numbers});
}

}  // namespace convbwd::support
