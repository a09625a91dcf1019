// Figures that one thread publishes and any thread reads, without either ever waiting for a lock.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <type_traits>

namespace lmcache::obs {

/// One writer at a time. A reader gets one publication, never a mixture of two; it tries again
/// while the writer is at it.
template <class T>
class Seqlock {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) % 8 == 0);

 public:
  void publish(const T& value) noexcept {
    const auto words = std::bit_cast<Words>(value);
    const std::uint64_t round = round_.load(std::memory_order_relaxed);
    round_.store(round + 1, std::memory_order_relaxed);  // odd: being written
    // Whoever sees a new word sees the odd number too. (ThreadSanitizer knows no fences.)
    for (std::size_t i = 0; i < kWords; ++i) words_[i].store(words[i], std::memory_order_release);
    round_.store(round + 2, std::memory_order_release);
  }

  [[nodiscard]] T read() const noexcept {
    for (;;) {
      const std::uint64_t before = round_.load(std::memory_order_acquire);
      Words words;
      for (std::size_t i = 0; i < kWords; ++i) words[i] = words_[i].load(std::memory_order_acquire);
      if (before % 2 != 0 || round_.load(std::memory_order_relaxed) != before) continue;
      return std::bit_cast<T>(words);
    }
  }

 private:
  static constexpr std::size_t kWords = sizeof(T) / 8;
  using Words = std::array<std::uint64_t, kWords>;
  std::atomic<std::uint64_t> round_{0};
  std::array<std::atomic<std::uint64_t>, kWords> words_{};
};

}  // namespace lmcache::obs
