#include "cache/tenants.hpp"

#include <algorithm>

namespace lmcache::cache {

std::uint64_t Tenants::Slot::floor() const noexcept {
  return std::max(busy, std::min(used, quota.min_bytes));
}

std::uint64_t Tenants::Slot::beyond() const noexcept {
  return used - std::min(used, quota.min_bytes);
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
  slots_[id].has_quota = true;
  enter_sums(id);
}

TenantId Tenants::acquire(const std::string& salt) {
  const TenantId id = take(salt);
  ++slots_[id].references;
  return id;
}

void Tenants::release(TenantId id) {
  Slot& slot = slots_[id];
  if (--slot.references > 0 || slot.has_quota) return;
  by_salt_.erase(by_salt_.find(*slot.salt));
  ids_.give_back(id);
}

std::uint64_t Tenants::used(const std::string& salt) const {
  const auto found = by_salt_.find(salt);
  return found == by_salt_.end() ? 0 : slots_[found->second].used;
}

void Tenants::change(TenantId id, std::int64_t used, std::int64_t busy) {
  if (used == 0 && busy == 0) return;
  leave_sums(id);
  slots_[id].used += static_cast<std::uint64_t>(used);
  slots_[id].busy += static_cast<std::uint64_t>(busy);
  enter_sums(id);
}

void Tenants::leave_sums(TenantId id) {
  const Slot& slot = slots_[id];
  total_busy_ -= slot.busy;
  total_floor_ -= slot.floor();
  if (isolated_ && slot.surplus() > 0) givers_.erase({slot.beyond(), id});
}

void Tenants::enter_sums(TenantId id) {
  const Slot& slot = slots_[id];
  total_busy_ += slot.busy;
  total_floor_ += slot.floor();
  if (isolated_ && slot.surplus() > 0) givers_.insert({slot.beyond(), id});
}

std::optional<TenantId> Tenants::giver() const {
  if (givers_.empty()) return std::nullopt;
  return givers_.rbegin()->second;
}

}  // namespace lmcache::cache
