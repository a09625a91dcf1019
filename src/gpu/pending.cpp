#include "gpu/pending.hpp"

#include <algorithm>
#include <atomic>
#include <utility>

namespace lmcache::gpu {

void Fence::start() {
  const std::lock_guard lock(mutex_);
  started_ = true;
}

void Fence::want() {
  const std::lock_guard lock(mutex_);
  wanted_since_ = std::min(wanted_since_, Clock::now());
}

Fence::Clock::time_point Fence::wanted_since() const {
  const std::lock_guard lock(mutex_);
  return wanted_since_;
}

void Fence::settle(bool ok) {
  std::vector<std::function<void(bool)>> callbacks;
  std::shared_ptr<ExportedEvent> end;  // let go of outside of the lock
  {
    const std::lock_guard lock(mutex_);
    settled_ = true;
    ok_ = ok;
    end.swap(end_);
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
      wanted_since_ = std::min(wanted_since_, Clock::now());
      return;
    }
    ok = ok_;
  }
  callback(ok);
}

bool Fence::started() const {
  const std::lock_guard lock(mutex_);
  return started_ || settled_;
}

bool Fence::settled() const {
  const std::lock_guard lock(mutex_);
  return settled_;
}

bool Fence::failed() const {
  const std::lock_guard lock(mutex_);
  return settled_ && !ok_;
}

std::shared_ptr<ExportedEvent> Fence::end() const {
  const std::lock_guard lock(mutex_);
  return end_;
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

Result<std::vector<FencePtr>> PendingStores::find(std::span<const ObjectRef> objects,
                                                  const Intact& intact) const {
  std::vector<FencePtr> fences;
  {
    const std::lock_guard lock(mutex_);
    if (!by_object_.empty()) {
      for (const ObjectRef& object : objects) {
        const auto found = by_object_.find(object.data);
        if (found != by_object_.end() && std::ranges::find(fences, found->second) == fences.end())
          fences.push_back(found->second);
      }
    }
  }
  if (intact && !intact()) return Error{Cause::kCopyFailed, "the store of this prefix has failed"};
  return fences;
}

void PendingStores::when_settled(std::span<const ObjectRef> objects, const Intact& intact,
                                 std::function<void(bool)> settled) const {
  const auto fences = find(objects, intact);
  if (!fences || fences->empty()) {
    settled(fences.has_value());
    return;
  }
  struct Wait {
    std::atomic<std::size_t> left;
    std::atomic<bool> ok = true;
    std::function<void(bool)> settled;
  };
  auto wait = std::make_shared<Wait>();
  wait->left = fences->size();
  wait->settled = std::move(settled);
  for (const FencePtr& fence : *fences) {
    fence->when_settled([wait](bool ok) {
      if (!ok) wait->ok = false;
      if (--wait->left == 0) wait->settled(wait->ok);
    });
  }
}

}  // namespace lmcache::gpu
