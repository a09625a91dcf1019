// How much of the pool each tenant uses, and who gives when room is short. A tenant is a
// cache_salt.
//
//   used   bytes of its objects and of its stores under way; exact at any time
//   busy   of these, what cannot be evicted
//   floor  of these, what others may not take: max(busy, min(used, guarantee)); all of used where
//          the next to go is larger than what is beyond that
//
// With isolation whoever is farthest over its guarantee gives, so that under pressure all end up
// with as much beyond it; a tenant at its maximum gives itself. Without, all are one.
//
// O(log of the number of tenants) to change, O(1) to read. Not thread-safe: under the cache's
// mutex.
#pragma once

#include <lmcache/cache.hpp>

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "cache/chunk.hpp"
#include "cache/paged.hpp"
#include "obs/metrics.hpp"

namespace lmcache::cache {

class Tenants {
 public:
  explicit Tenants(bool isolated = false) : isolated_(isolated) {}
  /// Remembered whether it stores or not. May be less than it uses: evicting is up to the caller.
  void set_quota(const std::string& salt, const TenantQuota& quota);
  [[nodiscard]] TenantUsage usage(const std::string& salt) const;
  /// Of all that have a maximum.
  [[nodiscard]] std::vector<TenantUsage> limited() const;
  [[nodiscard]] std::size_t limited_count() const noexcept { return limited_.size(); }
  [[nodiscard]] TenantId acquire(const std::string& salt);  ///< adds a reference
  /// The last one forgets a tenant without a quota; it uses nothing by then.
  void release(TenantId id);

  void change_used(TenantId id, std::int64_t bytes) { change(id, bytes, 0); }
  void change_busy(TenantId id, std::int64_t bytes) { change(id, 0, bytes); }

  /// kNoId: nobody knows it.
  [[nodiscard]] TenantId find(const std::string& salt) const;
  [[nodiscard]] std::uint64_t used(TenantId id) const noexcept { return slots_[id].used; }
  [[nodiscard]] std::uint64_t busy(TenantId id) const noexcept { return slots_[id].busy; }
  /// What it may have. Without isolation limits are kept, and enforced by nobody.
  [[nodiscard]] std::uint64_t max_bytes(TenantId id) const noexcept {
    return isolated_ ? slots_[id].quota.max_bytes : TenantQuota{}.max_bytes;
  }
  [[nodiscard]] std::uint64_t total_used() const noexcept { return total_used_; }
  [[nodiscard]] std::uint64_t total_busy() const noexcept { return total_busy_; }
  /// How many objects of its cache_salt were evicted, of all caches of the process; lasts longer
  /// than the tenant.
  [[nodiscard]] obs::Counter& evicted_objects(TenantId id);
  /// What the floors of all but `id` take.
  [[nodiscard]] std::uint64_t floor_of_others(TenantId id) const noexcept {
    return total_floor_ - slots_[id].floor();
  }
  /// Who is farthest over its guarantee among those that have something to give to others.
  [[nodiscard]] std::optional<TenantId> giver() const;
  /// How far `id` is over its guarantee.
  [[nodiscard]] std::uint64_t beyond(TenantId id) const noexcept { return slots_[id].beyond(); }
  /// The next to go of `id` would take a part of its guarantee: it is no giver until what it has,
  /// or what of that goes next, changes.
  void gives_nothing(TenantId id) { set_stuck(id, true); }
  void may_give_again(TenantId id) { set_stuck(id, false); }
  [[nodiscard]] bool isolated() const noexcept { return isolated_; }

 private:
  struct Slot {
    const std::string* salt = nullptr;
    std::uint64_t references = 0, used = 0, busy = 0;
    TenantQuota quota;
    bool stuck = false;               ///< gives nothing
    obs::Counter* evicted = nullptr;  ///< from the first eviction on: rows of the metric are few
    /// A maximum below it takes its place.
    [[nodiscard]] std::uint64_t guarantee() const noexcept;
    [[nodiscard]] std::uint64_t floor() const noexcept;
    [[nodiscard]] std::uint64_t surplus() const noexcept { return used - floor(); }
    [[nodiscard]] std::uint64_t beyond() const noexcept;
  };
  [[nodiscard]] TenantId take(const std::string& salt);
  void forget_idle(TenantId id);
  void change(TenantId id, std::int64_t used, std::int64_t busy);
  void set_stuck(TenantId id, bool stuck);
  void leave_sums(TenantId id);
  void enter_sums(TenantId id);

  bool isolated_;  ///< else nobody asks for a giver
  std::map<std::string, TenantId> by_salt_;
  std::vector<Slot> slots_;
  IdPool ids_;
  std::set<TenantId> limited_;                           ///< have a maximum
  std::set<std::pair<std::uint64_t, TenantId>> givers_;  ///< (beyond, id) where surplus > 0
  std::uint64_t total_used_ = 0, total_busy_ = 0, total_floor_ = 0;
};

}  // namespace lmcache::cache
