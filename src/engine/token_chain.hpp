// Chunk hashes of token sequences, computed once per request and reused by every later call that
// carries the same tokens.
//
// The whole token list travels with each call (lookup, each worker's retrieve and stores, frees),
// so a 128k-token request would be hashed dozens of times. Instead the last sequence seen under a
// request id is kept: a call whose tokens agree with it (compared, not trusted: an id says nothing
// about content) takes its hashes and only hashes what is new. Entries are dropped by age and by a
// total of bytes; dropping costs a re-hash, never correctness.
#pragma once

#include "wire/requests.hpp"

#include <lmcache/cache.hpp>

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

/// Immutable: whole chunks only, tokens.size() == hashes.size() * chunk_tokens.
struct TokenChain {
  wire::TokenIds tokens;
  std::vector<ChunkHash> hashes;
};
using ChainPtr = std::shared_ptr<const TokenChain>;

class TokenChains;

/// One call's hashes in the making. Hashing is done in steps so that a very long sequence does not
/// hold a request thread for long.
class ChainBuilder {
 public:
  /// The first `chunks` chunks of `tokens`, which must hold that many.
  ChainBuilder(TokenChains& chains, std::string request_id, wire::TokenIds tokens,
               std::uint32_t chunks);
  /// Hashes on; true when complete. About a millisecond a call.
  [[nodiscard]] bool step();
  /// After step() returned true. Valid as long as the builder.
  [[nodiscard]] std::span<const ChunkHash> hashes() const noexcept {
    return std::span{chain_->hashes}.first(chunks_);
  }

 private:
  TokenChains* chains_;
  std::string request_id_;
  std::uint32_t chunks_;
  ChainPtr chain_;  ///< set when complete
  std::shared_ptr<TokenChain> growing_;
};

class TokenChains {
 public:
  TokenChains(std::uint32_t chunk_tokens, std::uint64_t bytes_max)
      : chunk_tokens_(chunk_tokens), bytes_max_(bytes_max) {}

  [[nodiscard]] std::uint32_t chunk_tokens() const noexcept { return chunk_tokens_; }
  void forget(const std::string& request_id);
  /// Drops what was not used since `before`.
  void expire(Clock::time_point before);
  [[nodiscard]] std::size_t size() const;
  [[nodiscard]] std::uint64_t bytes() const;

 private:
  friend class ChainBuilder;
  struct Entry {
    std::string request_id;
    ChainPtr chain;
    Clock::time_point last_used;
  };
  using Order = std::list<Entry>;  // most recently used first

  [[nodiscard]] ChainPtr find(const std::string& request_id);
  void put(const std::string& request_id, ChainPtr chain);
  void erase(Order::iterator entry);
  static std::uint64_t bytes_of(const Entry& entry);

  const std::uint32_t chunk_tokens_;
  const std::uint64_t bytes_max_;
  mutable std::mutex mutex_;  // guards everything below
  Order order_;
  std::unordered_map<std::string, Order::iterator> by_request_;
  std::uint64_t bytes_ = 0;
};

}  // namespace lmcache::engine
