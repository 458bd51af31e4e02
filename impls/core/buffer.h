// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

namespace convbwd {

inline constexpr std::size_t kAlignment = 64;

constexpr std::size_t aligned(std::size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

/// Memory of one run: 64-byte aligned, then moved by `offset` bytes (to test odd alignments), with guard zones on both
/// sides whose damage is noticed; AddressSanitizer sees reads of them too. Large buffers ask for 2 MB pages. Throws
/// std::bad_alloc.
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(std::size_t bytes, std::size_t offset = 0);

  std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }
  std::span<std::byte> bytes() const { return {data_, size_}; }
  float* floats() const { return reinterpret_cast<float*>(data_); }

  /// Fills every byte.
  void fill(std::byte value) const;

  /// Which guard zone was written to ("12 bytes before the buffer"), or nothing.
  std::string damage() const;

  /// A number that changes when any byte does (but for one chance in 2^64).
  std::size_t checksum() const;

 private:
  struct Unmap {
    std::size_t length;
    void operator()(std::byte* memory) const;
  };
  std::unique_ptr<std::byte, Unmap> memory_;
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace convbwd
