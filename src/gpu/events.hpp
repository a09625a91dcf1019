// Events shared with engines (PROTOCOL.md, "Events"): waiting for theirs, handing out ours.
//
// Two forms, and a reply has the form of its request: a 64-byte interprocess event, or, between
// processes that share no IPC namespace, an 81-byte timeline semaphore: a 64-bit word in device
// memory that only grows, and the value to wait for.
//
// Threads: the GPU's own.
#pragma once

#include "gpu/allocation.hpp"
#include "gpu/pending.hpp"
#include "wire/message.hpp"

#include <lmcache/status.hpp>

#include <cuda_runtime.h>

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>

namespace lmcache::gpu {

/// Waiting for an event that was created without timing and may come from another process.
struct EventDeleter {
  void operator()(cudaEvent_t event) const noexcept {
    if (cudaEventDestroy(event) != cudaSuccess) static_cast<void>(cudaGetLastError());
  }
};
using Event = std::unique_ptr<CUevent_st, EventDeleter>;

[[nodiscard]] Result<Event> make_event(unsigned flags);

/// The end of one transfer: an event of ours that engines can open.
class ExportedEvent final : public Fence {
 public:
  ExportedEvent(Event event, const cudaIpcEventHandle_t& handle)
      : event_(std::move(event)), handle_(handle) {}
  [[nodiscard]] cudaEvent_t event() const noexcept { return event_.get(); }
  [[nodiscard]] wire::Bytes handle() const;

 private:
  Event event_;
  cudaIpcEventHandle_t handle_;
};

/// Makes ExportedEvents. An engine opens what it was sent some time later, so an event's resources
/// stay until kKept more have been handed out.
class EventPool {
 public:
  static constexpr std::size_t kKept = 2048;
  [[nodiscard]] Result<std::shared_ptr<ExportedEvent>> next();

 private:
  std::deque<std::shared_ptr<ExportedEvent>> issued_;
};

/// The timeline semaphores of one GPU, both sides.
class Timeline {
 public:
  static constexpr std::size_t kHandleBytes = 81;
  explicit Timeline(AllocationTable& allocations) : allocations_(allocations) {}
  ~Timeline();
  Timeline(const Timeline&) = delete;
  Timeline& operator=(const Timeline&) = delete;

  /// A word of an engine's and the value it must reach.
  struct Awaited {
    const std::byte* word = nullptr;  ///< device memory; nullptr: reached
    std::uint64_t value = 0;
  };
  /// What `handle` (81 bytes) names.
  [[nodiscard]] Result<Awaited> open(wire::ByteView handle);
  /// Reads the word, on a stream of its own.
  [[nodiscard]] bool reached(const Awaited& awaited);
  /// A handle that is done when all work so far on `stream` is. Every stream has a word of its own.
  [[nodiscard]] Result<wire::Bytes> signal(cudaStream_t stream);

 private:
  static constexpr std::uint64_t kSlots = 4096;
  AllocationTable& allocations_;
  std::map<std::string, AllocationPtr> opened_;  // stays open: its owner sends it with each request
  void* words_ = nullptr;                        // ours, kSlots of 8 bytes; slot 0 stays free
  cudaIpcMemHandle_t handle_{};
  struct Word {
    std::uint64_t slot = 0, value = 0;
  };
  std::map<cudaStream_t, Word> by_stream_;
  cudaStream_t reader_ = nullptr;
};

}  // namespace lmcache::gpu
