// Token lists seen lately, found again by their bytes on the wire. A request's list travels with
// its lookup, with every worker's stores and retrieves and with its frees; to compare the bytes
// takes a tenth of the time of decoding them anew.
//
// Any thread.
#pragma once

#include "wire/message.hpp"

#include <lmcache/keyed_hash.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

namespace lmcache::wire {

/// The token list as the chunk hash consumes it: big-endian 32-bit each.
using TokenIds = std::vector<std::uint32_t>;
using TokenListPtr = std::shared_ptr<const TokenIds>;

class KnownTokens {
 public:
  using Clock = std::chrono::steady_clock;

  /// Encoded lists shorter than this are decoded in no time.
  static constexpr std::size_t kLeastBytes = 4096;

  /// `bytes_max`: of lists and their encodings together.
  explicit KnownTokens(std::uint64_t bytes_max) : bytes_max_(bytes_max) {}

  struct Match {
    TokenListPtr tokens;    ///< nullptr: none
    std::size_t bytes = 0;  ///< of its encoding
  };
  /// The known list whose encoding `data` begins with.
  [[nodiscard]] Match find(ByteView data);
  /// `encoded`, of at least kLeastBytes, has been decoded to `tokens`.
  void put(ByteView encoded, TokenListPtr tokens);
  /// Drops what was not used since `before`.
  void expire(Clock::time_point before);
  [[nodiscard]] std::uint64_t bytes() const;

 private:
  // Lists that begin alike (a system prompt) and are equally long share a bucket of the index.
  static constexpr std::size_t kPerBucket = 8;

  struct Entry {
    Bytes encoded;
    TokenListPtr tokens;
    std::uint64_t start = 0;  ///< its bucket
    Clock::time_point last_used;
    [[nodiscard]] std::uint64_t bytes() const noexcept {
      return encoded.size() + tokens->size() * sizeof(std::uint32_t);
    }
  };
  using EntryPtr = std::shared_ptr<Entry>;  ///< compared without the lock; last_used with it
  using Order = std::list<EntryPtr>;        ///< most recently used first

  [[nodiscard]] std::uint64_t start_of(ByteView data) const;
  void erase(Order::iterator entry);

  const std::uint64_t bytes_max_;
  const KeyedHash hash_;
  mutable std::mutex mutex_;  // guards the rest
  Order order_;
  std::unordered_map<std::uint64_t, std::vector<Order::iterator>> by_start_;  // oldest first
  std::uint64_t bytes_ = 0;
};

}  // namespace lmcache::wire
