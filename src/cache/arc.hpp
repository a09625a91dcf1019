// Adaptive Replacement Cache (Megiddo and Modha 2003) by bytes: what was used once and what was
// used again are two lists, and the names of what was evicted from either say which of them was too
// short. A chunk that comes back from B1 moves the target of T1 up by its bytes, times B2/B1 if
// that is more; from B2 down.
//
// Capacity is the most bytes that were ever in order, so that it needs to know neither the pool nor
// what is pinned.
#pragma once

#include "cache/ghosts.hpp"
#include "cache/list_policy.hpp"

namespace lmcache::cache {

struct ArcNode : ListNode {
  std::uint64_t name = 0;
  bool again = false;  ///< used again since it came, or it came back
  bool in_t2 = false;  ///< the list it is in, or was in last
};

class Arc final : public ListPolicy<ArcNode> {
 public:
  void admit(ChunkId id, const Identity& identity) override;
  void insert(ChunkId id, std::uint64_t bytes) override;
  void hit(ChunkId id) override;
  void evicted(ChunkId id) override;
  [[nodiscard]] std::optional<ChunkId> victim(TenantId tenant) override;
  /// Bytes T1 is meant to have; for tests.
  [[nodiscard]] std::uint64_t target() const noexcept { return target_; }

 private:
  [[nodiscard]] List<ArcNode>& list(ChunkId id) noexcept override {
    return nodes_[id].in_t2 ? t2_ : t1_;
  }
  void trim();

  List<ArcNode> t1_, t2_;
  Ghosts b1_, b2_;
  std::uint64_t target_ = 0, capacity_ = 0;
};

}  // namespace lmcache::cache
