// Makes L1 fit for DMA: touches its pages, then registers them with the driver, part by part and in
// the background.
//
// Touching (several threads, on the CPUs of the NUMA nodes that have GPUs) is what takes time and
// needs no context, so it may start with the server. Registering needs a context and starts with
// the first engine. Parts go in the order in which the allocator fills them. A part can be used by
// a DMA as soon as it is registered; no object straddles two parts (pool::Allocator leaves a unit
// free between them), because a DMA across two registrations fails.
//
//   untouched --touch--> touched --register--> pinned --unregister--> touched
//
// Where registering fails the part stays unpinned: slower, said once, counted. The thread that does
// it has a pulse, "L1 pinning", while there is something to do. The log says when pinning begins,
// how far it is every ten seconds, and its end.
#pragma once

#include <lmcache/status.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

namespace lmcache::gpu {

struct PinnedPoolStatus {
  std::uint64_t total_bytes = 0, touched_bytes = 0, pinned_bytes = 0;
  /// Of total_bytes, as fit for copies as they can be now: while a GPU is in use pinned, or tried
  /// in vain; before that touched; all, where nobody wants that.
  std::uint64_t ready_bytes = 0;
  std::uint64_t failed_parts = 0;  ///< since a GPU is in use; 0 while none is
  /// Until all is ready, at the slower rate of the last part touched and the last one pinned; 0
  /// when there is nothing to do.
  double seconds_left = 0;
  std::string error;  ///< of the last part that could not be pinned; likewise
};

class PinnedPool {
 public:
  struct Options {
    std::uint64_t part_bytes = 4ull << 30;  ///< as the allocator's
    std::uint64_t first_bytes = 20ull
                                << 30;  ///< at full speed, the rest with a quarter of the threads
    unsigned threads = 0;               ///< that touch; 0: half of the CPUs, at most 16
    std::chrono::milliseconds say_every{10'000};  ///< how often the log has progress
  };
  /// How memory is registered: CUDA, or a test's. Called on one thread at a time.
  struct Driver {
    std::function<Status(std::span<std::byte>)> pin;
    std::function<void(std::span<std::byte>)> unpin;
  };

  PinnedPool(std::span<std::byte> memory, const Options& options);
  ~PinnedPool();
  PinnedPool(const PinnedPool&) = delete;
  PinnedPool& operator=(const PinnedPool&) = delete;

  /// Starts touching in the background; `wait` returns when all pages are there.
  void touch(bool wait);
  /// Starts registering, touching first what is not touched yet. `driver` is used until unpin().
  void pin(Driver driver);
  /// Ends registering and unregisters everything; returns when that is done, some 20 ms for each
  /// GiB, with a call of `beat` for every part. No DMA may be under way.
  void unpin(const std::function<void()>& beat = [] {});

  /// True if a DMA may use these bytes, which lie within one part.
  [[nodiscard]] bool pinned(const std::byte* data) const noexcept;
  [[nodiscard]] PinnedPoolStatus status() const;
  [[nodiscard]] std::span<std::byte> memory() const noexcept { return memory_; }

 private:
  struct Impl;
  std::span<std::byte> memory_;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lmcache::gpu
