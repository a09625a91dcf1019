// Stores that were answered while their copy runs: who reads such an object waits for its fence.
// Any thread.
#pragma once

#include <lmcache/cache.hpp>
#include <lmcache/status.hpp>

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

namespace lmcache::gpu {

class ExportedEvent;  // events.hpp

/// The copy of one store. Settled once; callbacks run on the thread that settles, or at once.
class Fence {
 public:
  using Clock = std::chrono::steady_clock;
  /// `end` is behind the copy; only its owner has it once the fence is settled, for the context
  /// that it belongs to may go then.
  explicit Fence(std::shared_ptr<ExportedEvent> end = nullptr) : end_(std::move(end)) {}
  /// The engine's event is over, and the copy will not be given up for the engine's sake any more:
  /// until then readers are not queued behind it, for they could not be stopped.
  void start();
  /// Somebody waits for start() from now on.
  void want();
  /// Since when somebody has waited; nobody: the end of time.
  [[nodiscard]] Clock::time_point wanted_since() const;
  void settle(bool ok);
  void when_settled(std::function<void(bool)> callback);
  [[nodiscard]] bool started() const;  ///< or settled
  [[nodiscard]] bool settled() const;
  [[nodiscard]] bool failed() const;                         ///< settled, and not well
  [[nodiscard]] std::shared_ptr<ExportedEvent> end() const;  ///< nullptr once settled

 private:
  mutable std::mutex mutex_;
  bool started_ = false, settled_ = false, ok_ = false;
  Clock::time_point wanted_since_ = Clock::time_point::max();
  std::shared_ptr<ExportedEvent> end_;
  std::vector<std::function<void(bool)>> callbacks_;
};
using FencePtr = std::shared_ptr<Fence>;

class PendingStores {
 public:
  /// Whether the objects are those that were stored: false once one of them was withdrawn. Empty:
  /// they are.
  using Intact = std::function<bool()>;

  void add(std::span<const ObjectRef> objects, const FencePtr& fence);
  /// After the objects of a store that failed are withdrawn.
  void remove(std::span<const ObjectRef> objects, const FencePtr& fence);
  /// What readers of these objects have to wait for, each fence once. kCopyFailed if an object was
  /// withdrawn: its fence may have been removed before.
  [[nodiscard]] Result<std::vector<FencePtr>> find(std::span<const ObjectRef> objects,
                                                   const Intact& intact) const;
  /// Calls `settled` once all of these are, at once where there are none: false if a copy has
  /// failed.
  void when_settled(std::span<const ObjectRef> objects, const Intact& intact,
                    std::function<void(bool)> settled) const;

 private:
  mutable std::mutex mutex_;
  std::unordered_map<const std::byte*, FencePtr> by_object_;  // an object's place is its own until
                                                              // its copy has ended
};

}  // namespace lmcache::gpu
