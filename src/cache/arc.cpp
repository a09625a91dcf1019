#include "cache/arc.hpp"

#include <algorithm>

namespace lmcache::cache {
namespace {

/// How far the target moves: the bytes that came back, times as much as the other history is
/// longer.
std::uint64_t step(std::uint64_t bytes, std::uint64_t own, std::uint64_t other) {
  const double times =
      std::max(1.0, static_cast<double>(other) / static_cast<double>(std::max(own, bytes)));
  return static_cast<std::uint64_t>(static_cast<double>(bytes) * times);
}

}  // namespace

void Arc::admit(ChunkId id, const Identity& identity) {
  nodes_.grow_to(id + 1);
  ArcNode& node = nodes_[id];
  node.name = identity.name;
  node.again = node.in_t2 = false;
  if (const auto bytes = b1_.take(node.name)) {
    target_ = std::min(capacity_, target_ + step(*bytes, b1_.bytes(), b2_.bytes()));
    node.again = true;
  } else if (const auto other = b2_.take(node.name)) {
    target_ -= std::min(target_, step(*other, b2_.bytes(), b1_.bytes()));
    node.again = true;
  }
}

void Arc::insert(ChunkId id, std::uint64_t bytes) {
  nodes_[id].in_t2 = nodes_[id].again;
  ListPolicy::insert(id, bytes);
  capacity_ = std::max(capacity_, t1_.bytes() + t2_.bytes());
}

void Arc::hit(ChunkId id) {
  nodes_[id].again = true;
}

void Arc::evicted(ChunkId id) {
  const ArcNode& node = nodes_[id];
  (node.in_t2 ? b2_ : b1_).add(node.name, node.bytes);
  trim();
}

void Arc::trim() {
  b1_.trim(capacity_ - std::min(capacity_, t1_.bytes()));
  const std::uint64_t others = t1_.bytes() + t2_.bytes() + b1_.bytes();
  b2_.trim(2 * capacity_ - std::min(2 * capacity_, others));
}

std::optional<ChunkId> Arc::victim(TenantId /*tenant*/) {
  const bool from_t1 = !t1_.empty() && (t2_.empty() || t1_.bytes() > target_);
  return id_or_nothing((from_t1 ? t1_ : t2_).oldest());
}

}  // namespace lmcache::cache
