// Least recently used goes first. One list; sizes play no role, the eviction loops count bytes
// themselves.
#pragma once

#include "cache/list.hpp"
#include "cache/policy.hpp"

namespace lmcache::cache {

class Lru final : public Policy {
 public:
  void admit(ChunkId id, const Identity& identity) override;
  void insert(ChunkId id, std::uint64_t bytes) override;
  void touch(ChunkId id) override;
  void remove(ChunkId id) override;
  [[nodiscard]] std::optional<ChunkId> victim(TenantId tenant) override;

 private:
  Paged<ListNode> nodes_;
  List<ListNode> order_;
};

}  // namespace lmcache::cache
