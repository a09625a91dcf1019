// A list per tenant, least recently used first: whose turn it is to give is decided outside
// (tenants.hpp), which of its chunks goes here.
#pragma once

#include <vector>

#include "cache/list_policy.hpp"

namespace lmcache::cache {

struct IsolatedLruNode : ListNode {
  TenantId tenant = 0;
};

class IsolatedLru final : public ListPolicy<IsolatedLruNode> {
 public:
  void admit(ChunkId id, const Identity& identity) override;
  [[nodiscard]] std::optional<ChunkId> victim(TenantId tenant) override;
  [[nodiscard]] bool isolates() const noexcept override { return true; }

 private:
  [[nodiscard]] List<IsolatedLruNode>& list(ChunkId id) noexcept override {
    return orders_[nodes_[id].tenant];
  }

  std::vector<List<IsolatedLruNode>> orders_;  ///< by tenant
};

}  // namespace lmcache::cache
