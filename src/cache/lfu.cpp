#include "cache/lfu.hpp"

#include <algorithm>
#include <bit>

namespace lmcache::cache {

void Lfu::admit(ChunkId id, const Identity& /*identity*/) {
  nodes_.grow_to(id + 1);
  nodes_[id].uses = 1;
}

std::uint64_t Lfu::priority_of(const Node& node) const noexcept {
  const double mean =
      static_cast<double>(bytes_) / static_cast<double>(std::max(count_, std::uint64_t{1}));
  const double worth =
      8.0 * node.uses * mean / static_cast<double>(std::max(node.bytes, std::uint64_t{1}));
  return age_ + static_cast<std::uint64_t>(std::clamp(worth, 1.0, kRing - 1.0));
}

void Lfu::insert(ChunkId id, std::uint64_t bytes) {
  Node& node = nodes_[id];
  node.bytes = bytes;
  bytes_ += bytes;
  ++count_;
  node.priority = priority_of(node);
  const std::size_t slot = node.priority % kRing;
  ring_[slot].push_newest(nodes_, id);
  filled_[slot / 64] |= std::uint64_t{1} << (slot % 64);
}

void Lfu::hit(ChunkId id) {
  nodes_[id].uses = std::min(nodes_[id].uses + 1, kMaxUses);
}

void Lfu::touch(ChunkId id) {
  const std::uint64_t bytes = nodes_[id].bytes;
  remove(id);
  insert(id, bytes);
}

void Lfu::remove(ChunkId id) {
  const Node& node = nodes_[id];
  const std::size_t slot = node.priority % kRing;
  ring_[slot].erase(nodes_, id);
  if (ring_[slot].empty()) filled_[slot / 64] &= ~(std::uint64_t{1} << (slot % 64));
  bytes_ -= node.bytes;
  --count_;
}

/// Among those in order it had the least priority, so none is left behind the window.
void Lfu::evicted(ChunkId id) {
  age_ = std::max(age_, nodes_[id].priority);
}

std::optional<ChunkId> Lfu::victim(TenantId /*tenant*/) {
  const std::size_t start = age_ % kRing;
  std::uint64_t word = filled_[start / 64] & (~std::uint64_t{0} << (start % 64));
  for (std::size_t i = start / 64, looked = 0; looked <= filled_.size(); ++looked) {
    if (word != 0) return ring_[i * 64 + static_cast<std::size_t>(std::countr_zero(word))].oldest();
    i = (i + 1) % filled_.size();
    word = filled_[i];
  }
  return std::nullopt;
}

}  // namespace lmcache::cache
