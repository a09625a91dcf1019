// A policy and the calls that the chunk table would make.
#pragma once

#include <optional>
#include <vector>

#include "cache/policy.hpp"

namespace lmcache::test {

using cache::ChunkId;
using cache::kNoId;
using cache::TenantId;

inline constexpr std::uint64_t kBytes = 1000;

/// Names are ids, so that a chunk that
/// comes back is known again.
class Order {
 public:
  explicit Order(std::string_view name) : policy_(cache::make_policy(name).value()) {}

  void store(ChunkId id, std::uint64_t bytes = kBytes, TenantId tenant = 0) {
    policy_->admit(id, {id + 1000, tenant, kNoId});
    policy_->insert(id, bytes);
  }
  /// A lookup that hits, and the end of its lease.
  void use(ChunkId id, std::uint64_t bytes = kBytes) {
    policy_->hit(id);
    policy_->remove(id);
    policy_->insert(id, bytes);
  }
  std::optional<ChunkId> evict_one(TenantId tenant = 0) {
    const auto id = policy_->victim(tenant);
    if (!id) return id;
    policy_->remove(*id);
    policy_->evicted(*id);
    return id;
  }
  std::vector<ChunkId> evict(int count) {
    std::vector<ChunkId> gone;
    while (count-- > 0) {
      const auto id = evict_one();
      if (!id) break;
      gone.push_back(*id);
    }
    return gone;
  }
  std::vector<ChunkId> drain() { return evict(1 << 20); }
  cache::Policy& operator*() { return *policy_; }

 private:
  std::unique_ptr<cache::Policy> policy_;
};

}  // namespace lmcache::test
