// SPDX-License-Identifier: Apache-2.0
#include "support/sha256.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>

namespace convbwd::support {
namespace {

constexpr std::size_t kBlock = 64;
using State = std::array<std::uint32_t, 8>;

constexpr std::array<int, 64> first_primes() {
  std::array<int, 64> primes{};
  int found = 0;
  for (int candidate = 2; found < 64; ++candidate)
    if (std::none_of(primes.begin(), primes.begin() + found, [=](int prime) { return candidate % prime == 0; }))
      primes[static_cast<std::size_t>(found++)] = candidate;
  return primes;
}
constexpr std::array<int, 64> kPrimes = first_primes();

/// The first 32 bits of the fraction: the standard's constants are those of the roots of primes.
std::uint32_t fraction(long double root) {
  return static_cast<std::uint32_t>((root - std::floor(root)) * 4294967296.0L);
}

void digest_block(const unsigned char* block, State& state) {
  static const auto constants = [] {
    std::array<std::uint32_t, 64> k;
    for (std::size_t i = 0; i < 64; ++i) k[i] = fraction(std::cbrt(static_cast<long double>(kPrimes[i])));
    return k;
  }();
  std::uint32_t w[64];
  for (int i = 0; i < 16; ++i)
    w[i] = std::uint32_t{block[4 * i]} << 24 | std::uint32_t{block[4 * i + 1]} << 16 |
           std::uint32_t{block[4 * i + 2]} << 8 | block[4 * i + 3];
  for (int i = 16; i < 64; ++i) {
    const std::uint32_t a = w[i - 15], b = w[i - 2];
    w[i] = w[i - 16] + (std::rotr(a, 7) ^ std::rotr(a, 18) ^ a >> 3) + w[i - 7] +
           (std::rotr(b, 17) ^ std::rotr(b, 19) ^ b >> 10);
  }
  auto [a, b, c, d, e, f, g, h] = state;
  for (std::size_t i = 0; i < 64; ++i) {
    const std::uint32_t t1 =
        h + (std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25)) + ((e & f) ^ (~e & g)) + constants[i] + w[i];
    const std::uint32_t t2 = (std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
    h = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
  }
  const State sum{a, b, c, d, e, f, g, h};
  for (std::size_t i = 0; i < 8; ++i) state[i] += sum[i];
}

}  // namespace

std::string sha256(std::string_view bytes) {
  State state;
  for (std::size_t i = 0; i < 8; ++i) state[i] = fraction(std::sqrt(static_cast<long double>(kPrimes[i])));
  const auto* data = reinterpret_cast<const unsigned char*>(bytes.data());
  std::size_t at = 0;
  for (; at + kBlock <= bytes.size(); at += kBlock) digest_block(data + at, state);

  // The rest, a one bit, zeros, and the length in bits fill one block or two.
  std::array<unsigned char, 2 * kBlock> tail{};
  const std::size_t rest = bytes.size() - at, length = rest + 9 <= kBlock ? kBlock : 2 * kBlock;
  std::copy_n(data + at, rest, tail.begin());
  tail[rest] = 0x80;
  for (std::size_t i = 0; i < 8; ++i)
    tail[length - 1 - i] = static_cast<unsigned char>(static_cast<std::uint64_t>(bytes.size()) * 8 >> 8 * i);
  for (std::size_t block = 0; block < length; block += kBlock) digest_block(tail.data() + block, state);

  std::string text;
  for (std::uint32_t word : state)
    for (int shift = 28; shift >= 0; shift -= 4) text += "0123456789abcdef"[word >> shift & 15];
  return text;
}

}  // namespace convbwd::support
