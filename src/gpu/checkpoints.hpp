// How far the GPU has come with a way's work: marks between the operations, in their order.
//
// Threads: the GPU's own.
#pragma once

#include "gpu/events.hpp"

#include <lmcache/status.hpp>

#include <cuda_runtime.h>

#include <cstddef>
#include <deque>
#include <vector>

namespace lmcache::gpu {

class Checkpoints {
 public:
  explicit Checkpoints(std::size_t most) : most_(most) {}
  /// A mark behind all that has been enqueued on `stream`. kCopyFailed.
  [[nodiscard]] Status mark(cudaStream_t stream);
  /// As many marks are ahead of the GPU as may be.
  [[nodiscard]] bool full();
  /// Forgets the marks that the GPU has passed.
  void pass();
  /// The GPU will pass them no more.
  void forget() { ahead_.clear(); }

 private:
  const std::size_t most_;
  std::deque<Event> ahead_;
  std::vector<Event> spare_;
};

}  // namespace lmcache::gpu
