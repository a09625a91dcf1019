// Which chunk goes next. A policy orders ids; it knows neither pins nor chains, the chunk table
// tells it who may be chosen.
//
//   (absent) --admit--> known --insert--> in order --remove--> known --evicted--> (absent)
//
// A chunk in use is taken out of the order and comes back by insert. hit() counts uses that say
// something about the future: a lookup served the chunk. A store that goes on behind it, and the
// end of a request, only bring it back or touch it. What has gone without evicted() (a clear) is
// forgotten with the next admit() of its id.
//
// Weights are bytes of the pool: what a chunk's prefix part takes. Windowed objects go by a rule of
// their own (thinner.hpp) and are not in the weight.
//
// Not thread-safe: called under the cache's mutex. Every function is O(1), victim() amortised: it
// may move ids between a policy's lists, each as often as it was inserted or hit.
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
  /// What is known of a chunk for longer than it stays.
  struct Identity {
    std::uint64_t name = 0;  ///< the same whenever the chunk comes back
    TenantId tenant = 0;
    ChunkId continues = kNoId;  ///< the resident chunk before it, if nothing else follows that one
    ChunkId before = kNoId;     ///< the resident chunk before it, whatever else follows that one
  };

  virtual ~Policy() = default;
  /// Becomes resident; not in order yet.
  virtual void admit(ChunkId id, const Identity& identity) = 0;
  /// May be chosen from now on; used just now. `bytes` is constant while it is in order.
  virtual void insert(ChunkId id, std::uint64_t bytes) = 0;
  /// A lookup served it. In order or not.
  virtual void hit(ChunkId /*id*/) {}
  /// In order, and as recent as if it had been inserted now.
  virtual void touch(ChunkId id) = 0;
  /// May no longer be chosen.
  virtual void remove(ChunkId id) = 0;
  /// Chosen, removed and gone.
  virtual void evicted(ChunkId /*id*/) {}
  /// The chunk to go next; it stays in order until removed. Nothing if the order is empty or
  /// nothing is ever evicted. Policies that isolate choose among those of `tenant`.
  [[nodiscard]] virtual std::optional<ChunkId> victim(TenantId tenant) = 0;
  /// False if victim() never names any: memory in use is then no room for anybody.
  [[nodiscard]] virtual bool evicts() const noexcept { return true; }
  /// True if tenants have orders of their own.
  [[nodiscard]] virtual bool isolates() const noexcept { return false; }
};

/// A list's end as victim() returns it.
[[nodiscard]] inline std::optional<ChunkId> id_or_nothing(ChunkId id) noexcept {
  return id == kNoId ? std::nullopt : std::optional(id);
}

/// Names for the command line, comma separated.
[[nodiscard]] std::string_view policy_names() noexcept;
/// kMalformed with the legal names if there is no policy of that name (case matters).
[[nodiscard]] Result<std::unique_ptr<Policy>> make_policy(std::string_view name);

}  // namespace lmcache::cache
