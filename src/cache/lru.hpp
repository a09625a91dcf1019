// Least recently used goes first. One list; sizes play no role, the eviction loops count bytes
// themselves.
#pragma once

#include "cache/list_policy.hpp"

namespace lmcache::cache {

class Lru final : public ListPolicy<ListNode> {
 public:
  void admit(ChunkId id, const Identity& identity) override;
  [[nodiscard]] std::optional<ChunkId> victim(TenantId tenant) override;

 private:
  [[nodiscard]] List<ListNode>& list(ChunkId /*id*/) noexcept override { return order_; }

  List<ListNode> order_;
};

}  // namespace lmcache::cache
