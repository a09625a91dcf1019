// Hashes for tables whose keys a client chooses: with a random key, new in every process, nobody
// can know which inputs fall together. Not for anything that leaves the process.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <span>
#include <string_view>

namespace lmcache {

[[nodiscard]] inline std::uint64_t random_word() {
  std::random_device device;
  return (std::uint64_t{device()} << 32) | device();
}

/// Both halves of the product, of which every bit depends on most bits of a and b.
[[nodiscard]] inline std::uint64_t multiply_fold(std::uint64_t a, std::uint64_t b) noexcept {
  __extension__ using Wide = unsigned __int128;
  const Wide product = Wide{a} * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

class KeyedHash {
 public:
  using is_transparent = void;

  KeyedHash() : KeyedHash(key_of_process()) {}
  KeyedHash(std::uint64_t first, std::uint64_t second) : key_{first, second} {}

  /// `before` is what the bytes follow: a number, or the hash of another part of the key.
  [[nodiscard]] std::uint64_t operator()(std::span<const std::byte> bytes,
                                         std::uint64_t before = 0) const noexcept {
    std::uint64_t state = multiply_fold(key_[0] ^ before, key_[1] ^ bytes.size());
    while (bytes.size() >= sizeof state) {
      state = add(state, bytes.first(sizeof state));
      bytes = bytes.subspan(sizeof state);
    }
    return multiply_fold(add(state, bytes), key_[0]);
  }
  [[nodiscard]] std::uint64_t operator()(std::string_view text,
                                         std::uint64_t before = 0) const noexcept {
    return (*this)(std::as_bytes(std::span(text)), before);
  }
  [[nodiscard]] std::uint64_t operator()(std::uint64_t number) const noexcept {
    return (*this)(std::span<const std::byte>(), number);
  }

 private:
  [[nodiscard]] static const KeyedHash& key_of_process() {
    static const KeyedHash key(random_word(), random_word());
    return key;
  }
  /// At most eight bytes.
  [[nodiscard]] std::uint64_t add(std::uint64_t state,
                                  std::span<const std::byte> bytes) const noexcept {
    std::uint64_t word = 0;
    if (!bytes.empty()) std::memcpy(&word, bytes.data(), bytes.size());
    return multiply_fold(state ^ word, key_[1]);
  }

  std::uint64_t key_[2];
};

}  // namespace lmcache
