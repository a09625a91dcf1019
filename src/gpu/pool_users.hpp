// Which GPUs use L1, and in which one's context it is registered: that of the first in use, for all
// of them, from the first one's coming until the last one has gone.
//
// Registering is in the background, unregistering on the thread of the GPU that leaves last; no
// lock is held while it lasts, and who comes meanwhile does not wait: L1 is registered anew behind
// it, in the context of one of those.
//
// Threads: any; a GPU's calls are on its thread.
#pragma once

#include "gpu/pinned_pool.hpp"

#include <functional>
#include <mutex>
#include <optional>
#include <vector>

namespace lmcache::gpu {

class PoolUsers {
 public:
  /// `driver` registers in the context of an ordinal; `tidy` is told of one whose context is needed
  /// no more, on the thread of another.
  PoolUsers(PinnedPool& pool, std::function<PinnedPool::Driver(int)> driver,
            std::function<void(int)> tidy);

  /// A context has come.
  void enter(int ordinal);
  /// It is to go. If this is false it must stay, until `tidy`: L1 is registered in it and others
  /// use it. `beat` is called a few times a second where it takes long.
  [[nodiscard]] bool leave(int ordinal, const std::function<void()>& beat);
  [[nodiscard]] const PinnedPool& pool() const noexcept { return pool_; }

 private:
  void pin_in(int ordinal);  ///< with mutex_

  PinnedPool& pool_;
  const std::function<PinnedPool::Driver(int)> driver_;
  const std::function<void(int)> tidy_;

  std::mutex mutex_;  // guards the rest
  std::vector<int> users_;
  std::optional<int> pinning_;  ///< where L1 is registered, or still being unregistered
  std::optional<int> kept_;     ///< the same, where it is no user any more
  bool unpinning_ = false;      ///< a leave() is at it
};

}  // namespace lmcache::gpu
