// Streams and staging buffers of an engine, one set per direction, so that stores and retrieves run
// at the same time, and an engine whose event never comes holds up itself alone. Engines share
// lanes where a GPU has more of them than the staging memory allows lanes.
//
//   store:     pages --kernel--> slot --DMA--> object          slots alternate, so the kernel fills
//   retrieve:  object --DMA--> slot --kernel--> pages          one while the DMA empties the other
//
// No DMA hides a store's first kernel and a retrieve's last, so batches grow from small to a slot's
// size in the one and shrink in the other.
//
//   either, where that is faster:  pages <--copy engine, rectangles--> object
//
// It is faster where the engine's own kernels keep the GPU busy: without MPS the kernels of two
// processes take turns, so a copy kernel waits for its time slice of some 2 ms, and the engine's
// stand still meanwhile. Which is faster is measured, transfer by transfer.
//
// Nothing here synchronises: transfers are enqueued whole, up to kMarks ahead of the GPU.
//
// Threads: the GPU's own.
#pragma once

#include "gpu/batcher.hpp"
#include "gpu/events.hpp"
#include "gpu/pinned_pool.hpp"
#include "gpu/rects.hpp"
#include "gpu/transfer.hpp"

#include <cuda_runtime.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>

namespace lmcache::gpu {

class Memory;

inline constexpr std::uint64_t kSlotBytes = 16ull << 20;
inline constexpr std::uint64_t kSlotsPerWay = 2;
inline constexpr std::uint64_t kLaneBytes = 2 * kSlotsPerWay * kSlotBytes;

/// What a transfer needs of its GPU.
struct LaneContext {
  unsigned copy_blocks = 16;
  std::uint64_t align_bytes = 4096;
  bool isolated_ipc = false;
  const PinnedPool* pool = nullptr;
  EventPool* events = nullptr;
  Timeline* timeline = nullptr;
  PendingStores* pending = nullptr;
  std::uint64_t direct_transfers = 0;
};

/// A transfer on its way through a lane.
class Running {
 public:
  Running(Transfer transfer, LaneContext& context);

  Transfer transfer;
  std::shared_ptr<ExportedEvent> end;  ///< recorded behind all its work once that is enqueued
  Status status;                       ///< the first thing that went wrong
  std::vector<FencePtr> needs;         ///< stores it reads from
  std::optional<Batcher> batches;      ///< staged
  std::vector<Rect> rects;             ///< direct
  std::size_t next_rect = 0;
  bool direct = false, begun = false;
  bool alone = false;                             ///< nothing was ahead of it
  std::chrono::steady_clock::time_point started;  ///< the engine's event was over by then
  std::uint64_t next_batch = 0;                   ///< bytes
  std::uint64_t left = 0;                         ///< bytes of objects not in a batch yet
  Event engine_event;                             ///< to wait for, or
  std::optional<Timeline::Awaited> engine_word;   ///< that, or neither
  std::uint64_t gate = 0;                         ///< closed: opens at this value; 0: open
  bool abandoned = false;                         ///< the engine has gone
  bool held = false;                              ///< nothing is enqueued before it may run
};

class Way {
 public:
  Way(copy::Direction direction, LaneContext& context) : direction_(direction), context_(context) {}
  ~Way();
  Way(const Way&) = delete;
  Way& operator=(const Way&) = delete;
  /// Streams, events and slots. kNoMemory if the GPU has no room.
  [[nodiscard]] Status open();

  /// All that is enqueued later waits for it.
  [[nodiscard]] Status wait_for(cudaEvent_t event);

  void submit(Transfer transfer);
  /// Enqueues what fits and ends what has ended. Returns the first CUDA error that spoils the
  /// context.
  [[nodiscard]] cudaError_t advance();
  /// The context is lost, or time is up: everything fails.
  void fail_all(const Error& error);
  /// The engine of this memory (nullptr: every engine) has gone; its event may never come.
  void abandon(const Memory* memory);
  /// A transfer waits for its engine: whoever looks more often lets it go sooner.
  [[nodiscard]] bool gated() const noexcept;
  /// A copy is under way: its engine's event is over, its end has not been seen.
  [[nodiscard]] bool moving() const noexcept;
  [[nodiscard]] std::size_t size() const noexcept { return waiting_.size() + queued_.size(); }

 private:
  // How far ahead of the GPU: some 128 batches or 384 rectangles. A stream holds 1024 operations.
  static constexpr std::size_t kMarks = 32, kBatchesPerMark = 4;

  using Clock = std::chrono::steady_clock;

  struct Slot {
    std::byte* buffer = nullptr;
    Event first, second;  ///< its two steps
  };

  Status begin(Running& running);
  Status wait_for_engine(Running& running);
  [[nodiscard]] bool over(const Running& running) const;
  Status close_gate(Running& running);
  [[nodiscard]] bool holds(Running& running);
  void open_gate(Running& running);
  [[nodiscard]] std::uint64_t next_bytes(Running& running) const;
  Status gather_ends(const Running& running, cudaEvent_t event);
  Result<bool> enqueue(Running& running);  ///< true: all of it is enqueued
  Status enqueue_batch(Running& running, Batch& batch);
  Status enqueue_kernel(const Batch& batch, cudaStream_t stream) const;
  Status mark(cudaStream_t stream);
  Status enqueue_spans(const Batch& batch, cudaStream_t stream) const;
  Status enqueue_rects(Running& running);
  Status finish(Running& running);
  void close(std::unique_ptr<Running> running);
  [[nodiscard]] bool full();
  void measure(const Running& running);
  [[nodiscard]] bool direct_may_be_faster() const;
  void look();

  const copy::Direction direction_;
  LaneContext& context_;
  cudaStream_t kernel_ = nullptr, dma_ = nullptr;
  std::uint64_t* gate_ = nullptr;  ///< pinned host memory; transfers pass in order as it grows
  std::uint64_t gates_ = 0;        ///< closed so far
  std::array<Slot, kSlotsPerWay> slots_;
  std::size_t turn_ = 0;
  std::deque<Event> checkpoints_;  ///< marks that the GPU may not have passed yet
  std::vector<Event> spare_;
  std::deque<std::unique_ptr<Running>> waiting_;  ///< the first is being enqueued
  std::deque<std::unique_ptr<Running>> queued_;
  Batch batch_;

  /// Bytes per microsecond.
  struct Rate {
    double lately = 0, best = 0;
    std::uint64_t samples = 0;
    Clock::time_point last;
  };
  Rate staged_, direct_;
};

class Lane {
 public:
  explicit Lane(LaneContext& context)
      : store_(copy::Direction::kStore, context), retrieve_(copy::Direction::kRetrieve, context) {}
  [[nodiscard]] Way& way(copy::Direction direction) noexcept {
    return direction == copy::Direction::kStore ? store_ : retrieve_;
  }

 private:
  Way store_, retrieve_;
};

}  // namespace lmcache::gpu
