// Which chunk goes next. A policy orders ids; it knows neither pins nor chains, the chunk table
// tells it who may be chosen.
//
//   (unknown) --insert--> in order --remove--> (unknown)        remove: pinned, gone, or refused
//   (unknown) --restore--> in order, first to go
//
// A chunk in use is taken out of the order and comes back by insert, as the most recently used. A
// victim that cannot go, because chunks that follow it are resident, is removed as well and
// restored when the last of them has gone. Not thread-safe: called under the cache's mutex. insert,
// touch, remove, restore and victim are O(1).
#pragma once

#include <lmcache/status.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "cache/chunk.hpp"

namespace lmcache::cache {

class Policy {
 public:
  virtual ~Policy() = default;
  /// May be chosen from now on; used just now. `bytes` is what evicting it gives back, constant
  /// while it is in order.
  virtual void insert(ChunkId id, std::uint64_t bytes) = 0;
  /// In order already, and used just now.
  virtual void touch(ChunkId id) = 0;
  /// May no longer be chosen.
  virtual void remove(ChunkId id) = 0;
  /// May be chosen again, before all others: it was a victim earlier and has not been used since.
  virtual void restore(ChunkId id, std::uint64_t bytes) = 0;
  /// The chunk to go next; it stays in order until removed. Nothing if the order is empty or
  /// nothing is ever evicted.
  [[nodiscard]] virtual std::optional<ChunkId> victim() const = 0;
  /// False if victim() never names any: memory in use is then no room for anybody.
  [[nodiscard]] virtual bool evicts() const noexcept = 0;
};

/// Names for the command line, comma separated.
[[nodiscard]] std::string_view policy_names() noexcept;
/// kMalformed with the legal names if there is no policy of that name (case matters).
[[nodiscard]] Result<std::unique_ptr<Policy>> make_policy(std::string_view name);

}  // namespace lmcache::cache
