// What a store's copy waits for of its engine. Nothing on the device ever waits for another process
// itself: it waits for a word of ours, which the GPU's thread sets when the engine's event is over,
// or when the engine has gone. A dead engine can be let go of at once; what its copy has read then
// counts for nothing. Retrieves, which would write, have no gates: they are not enqueued before.
//
// Threads: the GPU's own.
#pragma once

#include <lmcache/status.hpp>

#include <cuda_runtime.h>

#include <cstdint>

namespace lmcache::gpu {

/// The gates of one way. They are numbered from 1 and open in that order.
class Gate {
 public:
  Gate() = default;
  ~Gate();
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;

  /// Once, before anything else: the word in pinned host memory. kNoMemory.
  [[nodiscard]] Status make();
  /// All that is enqueued on `stream` from now on waits behind the gate whose number is returned.
  [[nodiscard]] Result<std::uint64_t> close(cudaStream_t stream);
  /// Opens that one and all before it.
  void open(std::uint64_t number) noexcept;
  /// Opens all that were and will be closed.
  void open_all() noexcept;

 private:
  std::uint64_t* word_ = nullptr;
  std::uint64_t closed_ = 0;
};

}  // namespace lmcache::gpu
