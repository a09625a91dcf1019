#include "cache/names.hpp"

#include <algorithm>
#include <tuple>

namespace lmcache::cache {

bool Keyspaces::Less::operator()(const Keyspace& a, const Keyspace& b) const noexcept {
  return std::tie(a.world_size, a.model, a.salt) < std::tie(b.world_size, b.model, b.salt);
}

KeyspaceId Keyspaces::find(const Keyspace& keyspace) const {
  const auto found = by_name_.find(keyspace);
  return found == by_name_.end() ? kNoId : found->second.id;
}

KeyspaceId Keyspaces::acquire(const Keyspace& keyspace) {
  const auto [node, added] = by_name_.try_emplace(keyspace);
  if (added) {
    node->second.id = ids_.take();
    node->second.tenant = tenants_.acquire(keyspace.salt);
    slots_.resize(ids_.end());
    slots_[node->second.id] = &*node;
  }
  ++node->second.references;
  return node->second.id;
}

void Keyspaces::release(KeyspaceId id) {
  if (--slots_[id]->second.references > 0) return;
  tenants_.release(slots_[id]->second.tenant);
  by_name_.erase(by_name_.find(slots_[id]->first));
  slots_[id] = nullptr;
  ids_.give_back(id);
}

std::span<std::uint64_t> LayoutSlot::offsets(std::uint32_t id) noexcept {
  const std::size_t groups = layout->groups.size();
  return {&offset_pages_[id / kShardsPerPage][id % kShardsPerPage * groups], groups};
}

std::uint32_t LayoutSlot::take_offsets() {
  const std::uint32_t id = offset_ids_.take();
  if (id / kShardsPerPage >= offset_pages_.size())
    offset_pages_.push_back(
        std::make_unique<std::uint64_t[]>(kShardsPerPage * layout->groups.size()));
  return id;
}

LayoutId Layouts::find(const ObjectLayout& layout) const {
  const auto found = by_fingerprint_.find(layout.fingerprint);
  return found == by_fingerprint_.end() ? kNoId : found->second;
}

LayoutId Layouts::acquire(const LayoutPtr& layout) {
  const auto [node, added] = by_fingerprint_.try_emplace(layout->fingerprint, kNoId);
  if (added) {
    node->second = ids_.take();
    slots_.resize(ids_.end());
    slots_[node->second] = std::make_unique<LayoutSlot>();
    slots_[node->second]->layout = layout;
  }
  ++slots_[node->second]->references;
  return node->second;
}

void Layouts::release(LayoutId id) {
  if (--slots_[id]->references > 0) return;
  by_fingerprint_.erase(slots_[id]->layout->fingerprint);
  slots_[id].reset();
  ids_.give_back(id);
}

bool same_groups(const ObjectLayout& a, const ObjectLayout& b) noexcept {
  return std::ranges::equal(a.groups, b.groups, [](const auto& x, const auto& y) {
    return x.bytes == y.bytes && x.window_chunks == y.window_chunks && x.auxiliary == y.auxiliary;
  });
}

}  // namespace lmcache::cache
