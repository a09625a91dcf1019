#include "cache/isolated_lru.hpp"

#include <algorithm>

namespace lmcache::cache {

void IsolatedLru::admit(ChunkId id, const Identity& identity) {
  nodes_.grow_to(id + 1);
  nodes_[id].tenant = identity.tenant;
  orders_.resize(std::max<std::size_t>(orders_.size(), identity.tenant + std::size_t{1}));
}

void IsolatedLru::insert(ChunkId id, std::uint64_t bytes) {
  nodes_[id].bytes = bytes;
  order(id).push_newest(nodes_, id);
}

void IsolatedLru::touch(ChunkId id) {
  order(id).make_newest(nodes_, id);
}

void IsolatedLru::remove(ChunkId id) {
  order(id).erase(nodes_, id);
}

std::optional<ChunkId> IsolatedLru::victim(TenantId tenant) {
  return tenant < orders_.size() ? id_or_nothing(orders_[tenant].oldest()) : std::nullopt;
}

}  // namespace lmcache::cache
