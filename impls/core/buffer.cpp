// SPDX-License-Identifier: Apache-2.0
#include "core/buffer.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <functional>
#include <new>

#ifdef CONVBWD_ADDRESS_SANITIZER
#include <sanitizer/asan_interface.h>
#endif

namespace convbwd {
namespace {

constexpr std::size_t kGuard = 4096;
constexpr std::size_t kHugePage = std::size_t{2} << 20;
constexpr std::byte kGuardByte{0xC7};

/// The kernel promises more memory than there is and kills whoever takes it at its word; refuse early instead.
void require_available(std::size_t bytes) {
  constexpr std::size_t kWorthAsking = std::size_t{64} << 20;
  if (bytes < kWorthAsking) return;
  std::ifstream meminfo("/proc/meminfo");
  std::string key, unit;
  for (std::size_t kibibytes; meminfo >> key >> kibibytes; std::getline(meminfo, unit))
    if (key == "MemAvailable:" && bytes / 1024 > kibibytes) throw std::bad_alloc();
}

bool is_guard(std::byte value) { return value == kGuardByte; }

// Under AddressSanitizer the guard zones may not even be read, but by who looks for damage.
#ifdef CONVBWD_ADDRESS_SANITIZER
void forbid(const std::byte* from, std::size_t bytes) { ASAN_POISON_MEMORY_REGION(from, bytes); }
void allow(const std::byte* from, std::size_t bytes) { ASAN_UNPOISON_MEMORY_REGION(from, bytes); }
#else
void forbid(const std::byte*, std::size_t) {}
void allow(const std::byte*, std::size_t) {}
#endif

}  // namespace

void Buffer::Unmap::operator()(std::byte* memory) const {
  allow(memory, length);  // the next mapping may lie here
  munmap(memory, length);
}

Buffer::Buffer(std::size_t bytes, std::size_t offset) : size_(bytes) {
  require_available(bytes);
  // The data start on a 2 MB boundary where a whole page fits, so that the kernel can back them with one.
  const bool huge = bytes >= kHugePage;
  const std::size_t length = kGuard + offset + bytes + kGuard + (huge ? 2 * kHugePage : 0);
  void* memory = mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  memory_ = std::unique_ptr<std::byte, Unmap>(static_cast<std::byte*>(memory), Unmap{length});
  data_ = memory_.get() + kGuard;
  if (huge) {
    const auto address = reinterpret_cast<std::uintptr_t>(data_);
    data_ += (kHugePage - address % kHugePage) % kHugePage;
    madvise(data_, bytes, MADV_HUGEPAGE);
  }
  data_ += offset;
  std::memset(data_ - kGuard, std::to_integer<int>(kGuardByte), kGuard);
  std::memset(data_ + bytes, std::to_integer<int>(kGuardByte), kGuard);
  forbid(data_ - kGuard, kGuard);
  forbid(data_ + bytes, kGuard);
}

void Buffer::fill(std::byte value) const {
  if (size_) std::memset(data_, std::to_integer<int>(value), size_);
}

std::string Buffer::damage() const {
  if (!data_) return {};
  const auto damaged = [](const std::byte* zone) {
    allow(zone, kGuard);
    const auto bytes = std::count_if(zone, zone + kGuard, std::not_fn(is_guard));
    forbid(zone, kGuard);
    return bytes;
  };
  const auto before = damaged(data_ - kGuard), after = damaged(data_ + size_);
  if (before) return std::to_string(before) + " bytes written before the buffer";
  if (after) return std::to_string(after) + " bytes written past the end of the buffer";
  return {};
}

std::size_t Buffer::checksum() const {
  std::uint64_t sum = 0x9E3779B97F4A7C15u;
  const auto mix = [&sum](std::uint64_t word) { sum = (sum ^ word) * 0x2545F4914F6CDD1Du + (sum >> 29); };
  std::size_t at = 0;
  for (; at + sizeof(std::uint64_t) <= size_; at += sizeof(std::uint64_t)) {
    std::uint64_t word;
    std::memcpy(&word, data_ + at, sizeof word);
    mix(word);
  }
  for (; at < size_; ++at) mix(std::to_integer<std::uint64_t>(data_[at]));
  return sum;
}

}  // namespace convbwd
