// Least frequently used per byte goes first, with ageing (LFU-DA; by bytes: GreedyDual-Size-
// Frequency, Cherkasova 1998).
//
//   priority = age + 8 * (1 + hits) * mean bytes / bytes, within age+1 .. age+255
//
// Age is the priority of the last to go, so whoever is not used again is overtaken by newcomers
// after at most 255 steps of it: yesterday's favourites leave. Priorities of what is in order lie
// within a window of 256, a list for each on a ring, a bitmap to find the first that is not empty.
#pragma once

#include <array>

#include "cache/list.hpp"
#include "cache/policy.hpp"

namespace lmcache::cache {

class Lfu final : public Policy {
 public:
  void admit(ChunkId id, const Identity& identity) override;
  void insert(ChunkId id, std::uint64_t bytes) override;
  void hit(ChunkId id) override;
  void touch(ChunkId id) override;
  void remove(ChunkId id) override;
  void evicted(ChunkId id) override;
  [[nodiscard]] std::optional<ChunkId> victim(TenantId tenant) override;

 private:
  static constexpr std::size_t kRing = 256;
  static constexpr std::uint32_t kMaxUses = 31;  ///< more say nothing that ageing would not undo
  struct Node : ListNode {
    std::uint64_t priority = 0;
    std::uint32_t uses = 0;
  };
  [[nodiscard]] std::uint64_t priority_of(const Node& node) const noexcept;

  Paged<Node> nodes_;
  std::array<List<Node>, kRing> ring_;  ///< by priority modulo kRing
  std::array<std::uint64_t, kRing / 64> filled_{};
  std::uint64_t age_ = 0, bytes_ = 0, count_ = 0;  ///< the last two: of what is in order
};

}  // namespace lmcache::cache
