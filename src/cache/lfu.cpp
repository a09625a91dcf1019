#include "cache/lfu.hpp"

#include <algorithm>
#include <bit>

namespace lmcache::cache {
namespace {

constexpr double kMemory = 1 << 17;        ///< uses after which older ones count half
constexpr double kAssumed = 512;           ///< uses that the assumption is worth at first
constexpr std::uint32_t kLearning = 1024;  ///< uses between two looks: a sequence is judged as one

}  // namespace

Lfu::Lfu() {
  for (std::size_t i = 0; i < kClasses; ++i) {
    const double likely = 0.5 + 0.45 * static_cast<double>(i) / (kClasses - 1);
    classes_[i] = {kAssumed, kAssumed * likely, 0};
  }
  learn();
}

void Lfu::learn() {
  uses_until_learning_ = kLearning;
  double most = 0;
  for (const Class& known : classes_) most = std::max(most, known.likely());
  for (Class& known : classes_) known.worth = kWorthMax * known.likely() / most;
}

std::size_t Lfu::class_of(std::uint32_t uses) noexcept {
  return std::min<std::size_t>(static_cast<std::size_t>(std::bit_width(uses - 1)), kClasses - 1);
}

void Lfu::admit(ChunkId id, const Identity& identity) {
  nodes_.grow_to(id + 1);
  nodes_[id].name = identity.name;
  nodes_[id].uses = identity.continues == kNoId ? 1 : nodes_[identity.continues].uses;
  for (std::size_t i = 0; i < kClasses; ++i) {
    if (!ghosts_[i].take(identity.name)) continue;
    classes_[i].again += 1;
    nodes_[id].uses = std::max(nodes_[id].uses, (1u << i) + 1);
    break;
  }
  count_use(nodes_[id].uses);
}

void Lfu::count_use(std::uint32_t uses) {
  Class& known = classes_[class_of(uses)];
  known.used += 1;
  if (--uses_until_learning_ == 0) learn();
  if (known.used < kMemory) return;
  known.used /= 2;
  known.again /= 2;
}

std::uint64_t Lfu::priority_of(const Node& node) const noexcept {
  const double mean = static_cast<double>(bytes_) / static_cast<double>(count_);
  const double by_bytes = classes_[class_of(node.uses)].worth * mean /
                          static_cast<double>(std::max(node.bytes, std::uint64_t{1}));
  return age_ + static_cast<std::uint64_t>(std::clamp(by_bytes, 1.0, kRing - 1.0));
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
  classes_[class_of(nodes_[id].uses)].again += 1;
  if (nodes_[id].uses < UINT32_MAX) ++nodes_[id].uses;
  count_use(nodes_[id].uses);
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

/// Says nothing about the age: what is of no use to any hit any more goes without its turn, and its
/// priority may be far above the least.
void Lfu::evicted(ChunkId id) {
  const Node& node = nodes_[id];
  Ghosts& ghosts = ghosts_[class_of(node.uses)];
  ghosts.add(node.name, node.bytes);
  ghosts.trim(bytes_);
}

/// It has the least priority of all in order, so none of them is left behind the window.
std::optional<ChunkId> Lfu::victim(TenantId /*tenant*/) {
  const std::size_t start = age_ % kRing;
  std::uint64_t word = filled_[start / 64] & (~std::uint64_t{0} << (start % 64));
  for (std::size_t i = start / 64, looked = 0; looked <= filled_.size(); ++looked) {
    if (word != 0) {
      const ChunkId id = ring_[i * 64 + static_cast<std::size_t>(std::countr_zero(word))].oldest();
      age_ = nodes_[id].priority;
      return id;
    }
    i = (i + 1) % filled_.size();
    word = filled_[i];
  }
  return std::nullopt;
}

}  // namespace lmcache::cache
