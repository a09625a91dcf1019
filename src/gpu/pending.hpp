// Stores that were answered while their copy runs: who reads such an object waits for its fence.
// Any thread.
#pragma once

#include <lmcache/cache.hpp>

#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <unordered_map>
#include <vector>

namespace lmcache::gpu {

/// The end of one copy. Settled once; callbacks run on the thread that settles, or at once.
class Fence {
 public:
  virtual ~Fence() = default;
  void settle(bool ok);
  void when_settled(std::function<void(bool)> callback);
  [[nodiscard]] bool settled() const;
  [[nodiscard]] bool failed() const;  ///< settled, and not well

 private:
  mutable std::mutex mutex_;
  bool settled_ = false, ok_ = false;
  std::vector<std::function<void(bool)>> callbacks_;
};
using FencePtr = std::shared_ptr<Fence>;

class PendingStores {
 public:
  void add(std::span<const ObjectRef> objects, const FencePtr& fence);
  void remove(std::span<const ObjectRef> objects, const FencePtr& fence);
  /// Fences of those objects, each once.
  [[nodiscard]] std::vector<FencePtr> find(std::span<const ObjectRef> objects) const;

 private:
  mutable std::mutex mutex_;
  std::unordered_map<const std::byte*, FencePtr> by_object_;  // an object's place is its own until
                                                              // its copy has ended
};

}  // namespace lmcache::gpu
