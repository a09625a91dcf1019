// Events shared with engines (PROTOCOL.md, "Events"): waiting for theirs, handing out ours.
//
// Two forms, and a reply has the form of its request: a 64-byte interprocess event, or, between
// processes that share no IPC namespace, an 81-byte timeline semaphore: a 64-bit word in device
// memory that only grows, and the value to wait for.
//
// Threads: the GPU's own.
#pragma once

#include "gpu/allocation.hpp"
#include "wire/message.hpp"

#include <lmcache/status.hpp>

#include <cuda_runtime.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

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
class ExportedEvent {
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
  /// Makes the next one ahead of its transfer.
  void prepare();

 private:
  [[nodiscard]] static Result<std::shared_ptr<ExportedEvent>> make();
  std::shared_ptr<ExportedEvent> spare_;
  std::deque<std::shared_ptr<ExportedEvent>> issued_;
};

/// The timeline semaphores of one GPU, both sides.
class Timeline {
 public:
  static constexpr std::size_t kHandleBytes = 81;
  /// Buffers that an engine has named, by handle. It sends them with every request, so they stay
  /// open as long as its registration.
  using Opened = std::map<std::string, AllocationPtr>;

  explicit Timeline(AllocationTable& allocations) : allocations_(allocations) {}
  ~Timeline();
  /// Once, before anything else: our words. kNoMemory.
  [[nodiscard]] Status make();
  Timeline(const Timeline&) = delete;
  Timeline& operator=(const Timeline&) = delete;

  /// A word of an engine's and the value it must reach.
  struct Awaited {
    const std::byte* word = nullptr;  ///< device memory; nullptr: reached
    std::uint64_t value = 0;
  };
  /// What `handle` (81 bytes) names. kMalformed, kBadSegment.
  [[nodiscard]] Result<Awaited> open(wire::ByteView handle, Opened& opened);
  /// Reads the word, on a stream of its own.
  [[nodiscard]] bool reached(const Awaited& awaited);
  /// A handle that is done when all work so far on `stream` is. Every stream has a word of its own.
  [[nodiscard]] Result<wire::Bytes> signal(cudaStream_t stream);
  /// The stream is going, its work has ended: another may have its word.
  void forget(cudaStream_t stream);

 private:
  static constexpr std::uint64_t kSlots = 4096;
  static constexpr std::size_t kBuffers = 64;  ///< that one registration may name
  AllocationTable& allocations_;
  void* words_ = nullptr;  // ours, kSlots of 8 bytes; slot 0 stays free
  cudaIpcMemHandle_t handle_{};
  struct Word {
    std::uint64_t slot = 0, value = 0;
  };
  std::map<cudaStream_t, Word> by_stream_;
  std::vector<Word> unused_;  ///< had a stream once; they only grow
  cudaStream_t reader_ = nullptr;
};

/// What a request asks its copy to wait for: an event of the engine's, a word of a timeline, or
/// nothing.
class EngineEvent {
 public:
  EngineEvent() = default;
  explicit EngineEvent(Event event) : event_(std::move(event)) {}
  EngineEvent(Timeline& timeline, const Timeline::Awaited& word)
      : timeline_(&timeline), word_(word) {}
  /// Nothing is left to wait for.
  [[nodiscard]] bool over() const;

 private:
  Event event_;
  Timeline* timeline_ = nullptr;
  Timeline::Awaited word_;
};

/// Opens what requests name.
class EngineEvents {
 public:
  /// `isolated`: engines share no IPC namespace, so an interprocess event cannot be one of theirs.
  EngineEvents(Timeline& timeline, bool isolated) : timeline_(timeline), isolated_(isolated) {}

  /// kMalformed; kBadSegment or kCopyFailed with the driver's reason.
  [[nodiscard]] Result<EngineEvent> open(wire::ByteView handle, Timeline::Opened& opened);
  /// Opens an interprocess event ahead of its transfer, which open() then finds. If that does not
  /// come soon it is forgotten; of very many none is opened. Returns whether the event is known to
  /// be over.
  bool expect(wire::ByteView handle);
  void forget_late();
  [[nodiscard]] bool isolated() const noexcept { return isolated_; }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::milliseconds kExpectedFor{10};
  static constexpr std::size_t kExpectedMost = 64;
  struct Expected {
    wire::Bytes handle;
    EngineEvent event;
    Clock::time_point until;
  };
  [[nodiscard]] Result<EngineEvent> open_ipc(wire::ByteView handle) const;
  Timeline& timeline_;
  const bool isolated_;
  std::deque<Expected> expected_;
};

}  // namespace lmcache::gpu
