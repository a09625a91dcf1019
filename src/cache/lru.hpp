// Least recently used goes first. One doubly linked list; sizes play no role, the eviction loops
// count bytes themselves.
#pragma once

#include "cache/paged.hpp"
#include "cache/policy.hpp"

namespace lmcache::cache {

class Lru final : public Policy {
 public:
  void insert(ChunkId id, std::uint64_t bytes) override;
  void touch(ChunkId id) override;
  void remove(ChunkId id) override;
  void restore(ChunkId id, std::uint64_t bytes) override;
  [[nodiscard]] std::optional<ChunkId> victim() const override;
  [[nodiscard]] bool evicts() const noexcept override { return true; }

 private:
  struct Link {
    ChunkId newer = kNoId, older = kNoId;
  };
  Paged<Link> links_;  ///< by chunk id
  ChunkId newest_ = kNoId, oldest_ = kNoId;
};

}  // namespace lmcache::cache
