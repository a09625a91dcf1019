#include "cache/tenants.hpp"

#include <algorithm>

namespace lmcache::cache {

std::uint64_t Tenants::Slot::guarantee() const noexcept {
  return std::min(quota.min_bytes, quota.max_bytes);
}

std::uint64_t Tenants::Slot::floor() const noexcept {
  return stuck ? used : std::max(busy, std::min(used, guarantee()));
}

std::uint64_t Tenants::Slot::beyond() const noexcept {
  return used - std::min(used, guarantee());
}

TenantId Tenants::take(const std::string& salt) {
  const auto [node, added] = by_salt_.try_emplace(salt, kNoId);
  if (added) {
    node->second = ids_.take();
    slots_.resize(std::max<std::size_t>(slots_.size(), ids_.end()));
    slots_[node->second] = Slot{};
    slots_[node->second].salt = &node->first;
  }
  return node->second;
}

void Tenants::set_quota(const std::string& salt, const TenantQuota& quota) {
  const TenantId id = take(salt);
  leave_sums(id);
  slots_[id].quota = quota;
  slots_[id].stuck = false;
  enter_sums(id);
  if (quota.is_limited()) {
    limited_.insert(id);
  } else {
    limited_.erase(id);
  }
  forget_idle(id);
}

TenantId Tenants::acquire(const std::string& salt) {
  const TenantId id = take(salt);
  ++slots_[id].references;
  return id;
}

void Tenants::release(TenantId id) {
  --slots_[id].references;
  forget_idle(id);
}

void Tenants::forget_idle(TenantId id) {
  const Slot& slot = slots_[id];
  if (slot.references > 0 || slot.quota != TenantQuota{}) return;
  by_salt_.erase(by_salt_.find(*slot.salt));
  ids_.give_back(id);
}

TenantId Tenants::find(const std::string& salt) const {
  const auto found = by_salt_.find(salt);
  return found == by_salt_.end() ? kNoId : found->second;
}

TenantUsage Tenants::usage(const std::string& salt) const {
  const TenantId id = find(salt);
  return id == kNoId ? TenantUsage{salt} : TenantUsage{salt, slots_[id].quota, slots_[id].used};
}

std::vector<TenantUsage> Tenants::limited() const {
  std::vector<TenantUsage> all;
  for (const TenantId id : limited_)
    all.push_back({*slots_[id].salt, slots_[id].quota, slots_[id].used});
  return all;
}

obs::Counter& Tenants::evicted_objects(TenantId id) {
  Slot& slot = slots_[id];
  if (slot.evicted == nullptr) slot.evicted = &obs::metrics().l1.row({*slot.salt}).evicted_objects;
  return *slot.evicted;
}

void Tenants::change(TenantId id, std::int64_t used, std::int64_t busy) {
  // Also when neither changes: a chunk's place among those to go may have.
  if (used == 0 && busy == 0) return may_give_again(id);
  leave_sums(id);
  slots_[id].stuck = false;
  slots_[id].used += static_cast<std::uint64_t>(used);
  slots_[id].busy += static_cast<std::uint64_t>(busy);
  enter_sums(id);
}

void Tenants::set_stuck(TenantId id, bool stuck) {
  if (slots_[id].stuck == stuck) return;
  leave_sums(id);
  slots_[id].stuck = stuck;
  enter_sums(id);
}

void Tenants::leave_sums(TenantId id) {
  const Slot& slot = slots_[id];
  total_used_ -= slot.used;
  total_busy_ -= slot.busy;
  total_floor_ -= slot.floor();
  if (isolated_ && slot.surplus() > 0) givers_.erase({slot.beyond(), id});
}

void Tenants::enter_sums(TenantId id) {
  const Slot& slot = slots_[id];
  total_used_ += slot.used;
  total_busy_ += slot.busy;
  total_floor_ += slot.floor();
  if (isolated_ && slot.surplus() > 0) givers_.insert({slot.beyond(), id});
}

std::optional<TenantId> Tenants::giver() const {
  if (givers_.empty()) return std::nullopt;
  return givers_.rbegin()->second;
}

}  // namespace lmcache::cache
