// A list per tenant, least recently used first: whose turn it is to give is decided outside
// (tenants.hpp), which of its chunks goes here.
#pragma once

#include <vector>

#include "cache/list.hpp"
#include "cache/policy.hpp"

namespace lmcache::cache {

class IsolatedLru final : public Policy {
 public:
  void admit(ChunkId id, const Identity& identity) override;
  void insert(ChunkId id, std::uint64_t bytes) override;
  void touch(ChunkId id) override;
  void remove(ChunkId id) override;
  [[nodiscard]] std::optional<ChunkId> victim(TenantId tenant) override;
  [[nodiscard]] bool isolates() const noexcept override { return true; }

 private:
  struct Node : ListNode {
    TenantId tenant = 0;
  };
  [[nodiscard]] List<Node>& order(ChunkId id) { return orders_[nodes_[id].tenant]; }

  Paged<Node> nodes_;
  std::vector<List<Node>> orders_;  ///< by tenant
};

}  // namespace lmcache::cache
