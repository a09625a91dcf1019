#include "gpu/pool_users.hpp"

#include <utility>

namespace lmcache::gpu {

PoolUsers::PoolUsers(PinnedPool& pool, std::function<PinnedPool::Driver(int)> driver,
                     std::function<void(int)> tidy)
    : pool_(pool), driver_(std::move(driver)), tidy_(std::move(tidy)) {}

void PoolUsers::enter(int ordinal) {
  const std::lock_guard lock(mutex_);
  users_.push_back(ordinal);
  if (kept_ == ordinal) kept_.reset();
  if (!pinning_) pin_in(ordinal);
}

bool PoolUsers::leave(int ordinal, const std::function<void()>& beat) {
  std::unique_lock lock(mutex_);
  std::erase(users_, ordinal);
  if (!users_.empty() || unpinning_) {
    if (pinning_ != ordinal) return true;
    kept_ = ordinal;
    return false;
  }
  unpinning_ = true;
  lock.unlock();
  pool_.unpin(beat);
  lock.lock();
  unpinning_ = false;
  pinning_.reset();
  if (!users_.empty()) pin_in(users_.front());
  const std::optional<int> other = std::exchange(kept_, std::nullopt);
  lock.unlock();
  if (other) tidy_(*other);
  return true;
}

// Starts a thread, and ends one that only touches.
void PoolUsers::pin_in(int ordinal) {
  pinning_ = ordinal;
  pool_.pin(driver_(ordinal));
}

}  // namespace lmcache::gpu
