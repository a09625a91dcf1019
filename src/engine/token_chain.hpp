// Chunk hashes of token sequences, computed once and reused by every later call that carries the
// same tokens.
//
// The whole token list travels with each call (lookup, each worker's retrieve and stores, frees),
// so a 128k-token request would be hashed dozens of times, and once more for each turn of its
// conversation. Instead the sequences seen last are kept and found again by content: each is marked
// at chunks 0, 1, 3, 7, ... and its last by a cheap keyed fingerprint of that chunk's tokens. A new
// list is looked up from its last mark to its first; of the sequences found, the one that agrees
// furthest (compared token by token, a fingerprint proves nothing) gives the hashes of all they
// share, and only the rest is hashed. Neither request ids nor tenants matter: a hash depends on the
// tokens alone. Sequences are dropped by age and by a total of bytes; dropping costs a re-hash,
// never correctness.
#pragma once

#include "wire/requests.hpp"

#include <lmcache/cache.hpp>
#include <lmcache/keyed_hash.hpp>

#include <chrono>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

namespace lmcache::engine {

using Clock = std::chrono::steady_clock;

/// hash(-1), the predecessor of every first chunk: BLAKE3 of twelve zero bytes.
[[nodiscard]] const ChunkHash& none_hash();
/// BLAKE3(previous || tokens), tokens big-endian as in wire::TokenIds.
[[nodiscard]] ChunkHash hash_chunk(const ChunkHash& previous,
                                   std::span<const std::uint32_t> big_endian_tokens);

/// Immutable. Of the list only the whole chunks count.
struct TokenChain {
  wire::TokenListPtr list;
  std::size_t count = 0;  ///< tokens: hashes.size() * chunk_tokens
  std::vector<ChunkHash> hashes;
  [[nodiscard]] std::span<const std::uint32_t> tokens() const noexcept {
    return std::span{*list}.first(count);
  }
};
using ChainPtr = std::shared_ptr<const TokenChain>;

class TokenChains;

/// One call's hashes in the making. Hashing is done in steps so that a very long sequence does not
/// hold a request thread for long.
class ChainBuilder {
 public:
  /// The first `chunks` chunks of `tokens`, which must hold that many.
  ChainBuilder(TokenChains& chains, wire::TokenListPtr tokens, std::uint32_t chunks);
  /// Hashes on; true when complete. About a millisecond a call.
  [[nodiscard]] bool step();
  /// After step() returned true. Valid as long as the builder.
  [[nodiscard]] std::span<const ChunkHash> hashes() const noexcept {
    return std::span{chain_->hashes}.first(chunks_);
  }

 private:
  TokenChains* chains_;
  std::uint32_t chunks_;
  ChainPtr chain_;  ///< set when complete
  std::shared_ptr<TokenChain> growing_;
  ChainPtr extended_;  ///< the known chain that growing_ continues to its end, if it does
};

class TokenChains {
 public:
  TokenChains(std::uint32_t chunk_tokens, std::uint64_t bytes_max)
      : chunk_tokens_(chunk_tokens), bytes_max_(bytes_max) {}

  [[nodiscard]] std::uint32_t chunk_tokens() const noexcept { return chunk_tokens_; }
  /// Drops what was not used since `before`.
  void expire(Clock::time_point before);
  [[nodiscard]] std::size_t size() const;
  [[nodiscard]] std::uint64_t bytes() const;

 private:
  friend class ChainBuilder;
  struct Entry {
    ChainPtr chain;
    std::vector<std::uint64_t> marks;
    Clock::time_point last_used;
  };
  using Order = std::list<Entry>;  // most recently used first

  /// A known chain and how many leading chunks of `tokens` it shares; nullptr and 0 if there is
  /// none.
  struct Known {
    ChainPtr chain;
    std::size_t chunks = 0;
  };
  [[nodiscard]] Known find(std::span<const std::uint32_t> tokens);
  [[nodiscard]] ChainPtr marked(std::uint64_t mark);
  /// Adds a chain; `extended`, which it contains, has become superfluous.
  void put(ChainPtr chain, const ChainPtr& extended);
  void erase(Order::iterator entry);
  [[nodiscard]] std::vector<std::uint64_t> marks_of(std::span<const std::uint32_t> tokens) const;
  static std::uint64_t bytes_of(const Entry& entry);

  const std::uint32_t chunk_tokens_;
  const std::uint64_t bytes_max_;
  const KeyedHash hash_;
  mutable std::mutex mutex_;  // guards everything below
  Order order_;
  std::unordered_map<std::uint64_t, Order::iterator> by_mark_;  // the latest chain with that mark
  std::uint64_t bytes_ = 0;
};

}  // namespace lmcache::engine
