#include "cache/isolated_lru.hpp"

#include <algorithm>

namespace lmcache::cache {

void IsolatedLru::admit(ChunkId id, const Identity& identity) {
  nodes_.grow_to(id + 1);
  nodes_[id].tenant = identity.tenant;
  orders_.resize(std::max<std::size_t>(orders_.size(), identity.tenant + std::size_t{1}));
}

std::optional<ChunkId> IsolatedLru::victim(TenantId tenant) {
  return tenant < orders_.size() ? id_or_nothing(orders_[tenant].oldest()) : std::nullopt;
}

}  // namespace lmcache::cache
