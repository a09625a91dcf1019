#include "load/pattern.hpp"

#include <cstring>

namespace lmcache::load {
namespace {

/// SplitMix64's output function.
std::uint64_t mix(std::uint64_t x) noexcept {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

constexpr std::uint64_t kStep = 0x9e3779b97f4a7c15u;

}  // namespace

std::uint64_t seed_of(std::uint64_t a, std::uint64_t b) noexcept {
  return mix(mix(a + kStep) + b);
}

void write_pattern(std::span<std::byte> page, std::uint64_t seed) noexcept {
  std::size_t at = 0;
  std::uint64_t word = 0;
  for (; at + sizeof word <= page.size(); at += sizeof word) {
    word = mix(seed += kStep);
    std::memcpy(page.data() + at, &word, sizeof word);
  }
  word = mix(seed + kStep);
  std::memcpy(page.data() + at, &word, page.size() - at);
}

bool has_pattern(std::span<const std::byte> page, std::uint64_t seed) noexcept {
  std::size_t at = 0;
  std::uint64_t word = 0, different = 0;
  for (; at + sizeof word <= page.size(); at += sizeof word) {
    std::memcpy(&word, page.data() + at, sizeof word);
    different |= word ^ mix(seed += kStep);
  }
  word = mix(seed + kStep);
  return different == 0 && std::memcmp(page.data() + at, &word, page.size() - at) == 0;
}

}  // namespace lmcache::load
