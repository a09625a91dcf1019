#include "gpu/pending.hpp"

#include <algorithm>
#include <utility>

namespace lmcache::gpu {

void Fence::settle(bool ok) {
  std::vector<std::function<void(bool)>> callbacks;
  {
    const std::lock_guard lock(mutex_);
    settled_ = true;
    ok_ = ok;
    callbacks.swap(callbacks_);
  }
  for (const auto& callback : callbacks) callback(ok);
}

void Fence::when_settled(std::function<void(bool)> callback) {
  bool ok = false;
  {
    const std::lock_guard lock(mutex_);
    if (!settled_) {
      callbacks_.push_back(std::move(callback));
      return;
    }
    ok = ok_;
  }
  callback(ok);
}

bool Fence::settled() const {
  const std::lock_guard lock(mutex_);
  return settled_;
}

bool Fence::failed() const {
  const std::lock_guard lock(mutex_);
  return settled_ && !ok_;
}

void PendingStores::add(std::span<const ObjectRef> objects, const FencePtr& fence) {
  const std::lock_guard lock(mutex_);
  for (const ObjectRef& object : objects) by_object_[object.data] = fence;
}

void PendingStores::remove(std::span<const ObjectRef> objects, const FencePtr& fence) {
  const std::lock_guard lock(mutex_);
  for (const ObjectRef& object : objects) {
    const auto found = by_object_.find(object.data);
    if (found != by_object_.end() && found->second == fence) by_object_.erase(found);
  }
}

std::vector<FencePtr> PendingStores::find(std::span<const ObjectRef> objects) const {
  std::vector<FencePtr> fences;
  const std::lock_guard lock(mutex_);
  if (by_object_.empty()) return fences;
  for (const ObjectRef& object : objects) {
    const auto found = by_object_.find(object.data);
    if (found != by_object_.end() && std::ranges::find(fences, found->second) == fences.end())
      fences.push_back(found->second);
  }
  return fences;
}

}  // namespace lmcache::gpu
