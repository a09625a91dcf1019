// One direction of a lane: transfers one behind the other, each enqueued whole.
//
//   store:     pages --kernel--> slot --DMA--> object          slots alternate, so the kernel fills
//   retrieve:  object --DMA--> slot --kernel--> pages          one while the DMA empties the other
//
// No DMA hides a store's first kernel and a retrieve's last, so batches grow from small to a slot's
// size in the one and shrink in the other.
//
//   either, where that is faster:  pages <--copy engines, rectangles--> object
//
// It is faster where the engine's own kernels keep the GPU busy (path_choice.hpp), and for what is
// small: the first kernel of ours after one of the engine's waits for the GPU to change from its
// process to ours (137 us on an H100). So the copy engines also begin a store, in what is left of
// that time: the turn is asked for, by an empty kernel, as soon as a store is expected.
//
// Nothing here synchronises: transfers are enqueued up to kMarks ahead of the GPU.
//
// Threads: the GPU's own.
#pragma once

#include "gpu/batcher.hpp"
#include "gpu/checkpoints.hpp"
#include "gpu/events.hpp"
#include "gpu/gate.hpp"
#include "gpu/path_choice.hpp"
#include "gpu/pinned_pool.hpp"
#include "gpu/rects.hpp"
#include "gpu/staging.hpp"
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

/// How long an engine's store may keep a gate closed that is in the way of others.
inline constexpr std::chrono::milliseconds kGatePatience{500};

/// What a transfer needs of its GPU.
struct LaneContext {
  unsigned copy_blocks = 16;
  std::uint64_t align_bytes = 4096;
  const PinnedPool* pool = nullptr;
  EventPool* events = nullptr;
  EngineEvents* engine_events = nullptr;
  Timeline* timeline = nullptr;
  PendingStores* pending = nullptr;
  std::chrono::milliseconds reader_patience{};  ///< as DeviceOptions has it
  std::uint64_t direct_transfers = 0;
  /// While something waits to be freed, for which all gates must be open: they are opened then, and
  /// no new ones are closed.
  std::chrono::steady_clock::time_point gates_open_by =
      std::chrono::steady_clock::time_point::max();
  bool stopping = false;  ///< no engine is waited for
};

/// A transfer on its way.
class Running {
 public:
  Running(Transfer transfer, LaneContext& context);
  /// Views of the transfer.
  [[nodiscard]] Pages pages(const LaneContext& context) const;

  Transfer transfer;
  Status status;                       ///< the first thing that went wrong
  std::shared_ptr<ExportedEvent> end;  ///< recorded behind all its work once that is enqueued
  FencePtr fence;                      ///< of a store: what its readers wait for
  Path path = Path::kStaged;
  std::vector<Rect> rects;  ///< all of it, or what comes before the batches
  std::size_t next_rect = 0;
  std::optional<Batcher> batches;
  bool begun = false;                             ///< planned
  bool entered = false;                           ///< something of it may be enqueued
  bool alone = false;                             ///< nothing was ahead of it
  std::chrono::steady_clock::time_point started;  ///< the engine's event was over by then
  std::uint64_t next_batch = 0;                   ///< bytes
  std::uint64_t left = 0;                         ///< bytes of objects not in a batch yet
  EngineEvent engine_event;
  /// The engine lets us at its pages: the request's event is over, and those of its tensors.
  [[nodiscard]] bool may_run() const;
  std::uint64_t gate = 0;  ///< closed before it; 0: none, or open
  std::chrono::steady_clock::time_point gated_since;
  bool held = false;    ///< nothing is enqueued before it may run
  bool blocks = false;  ///< its DMAs block this thread
};

class Way {
 public:
  Way(copy::Direction direction, LaneContext& context, const Berth& berth)
      : direction_(direction), context_(context), berth_(berth) {}
  ~Way();
  Way(const Way&) = delete;
  Way& operator=(const Way&) = delete;
  /// Streams and events. `before`: whose slots these were until now; nothing is enqueued before
  /// what that way has enqueued so far has passed. kNoMemory if the GPU has no room.
  [[nodiscard]] Status open(const Way* before);

  void submit(Transfer transfer);
  /// A transfer of at most that many bytes will come in a moment, its engine's event is over. Asks
  /// for the GPU's turn if it will need one at once.
  void expect(std::uint64_t bytes);
  /// Enqueues what fits and ends what has ended. Returns the first CUDA error after which nobody
  /// knows what the GPU still does.
  [[nodiscard]] cudaError_t advance();
  /// The context is lost, or time is up: everything fails.
  void fail_all(const Error& error);
  /// A gate is closed: the GPU waits for advance().
  [[nodiscard]] bool gated() const noexcept;
  /// A transfer waits for its engine: whoever looks more often lets it go sooner.
  [[nodiscard]] bool awaits_engine() const noexcept;
  /// A copy is under way: its engine's event is over, its end has not been seen.
  [[nodiscard]] bool moving() const noexcept;
  [[nodiscard]] std::size_t size() const noexcept { return waiting_.size() + queued_.size(); }
  [[nodiscard]] copy::Direction direction() const noexcept { return direction_; }

 private:
  // How far ahead of the GPU: some 128 batches or 384 rectangles. A stream holds 1024 operations.
  static constexpr std::size_t kMarks = 32, kBatchesPerMark = 4;

  using Clock = std::chrono::steady_clock;

  struct Slot {
    Event first, second;  ///< its two steps
  };

  enum class Step : std::uint8_t { kHeld, kFull, kDone };
  Step step(Running& running);
  Step try_step(Running& running);
  Status begin(Running& running);
  Status enter(Running& running);
  Status ask_for_turn();
  void choose_path(Running& running);
  [[nodiscard]] bool plan_direct(Running& running, const Pages& pages);
  void plan_head(Running& running, const Pages& pages);
  [[nodiscard]] std::uint64_t head_bytes() const;
  Status wait_for_engine(Running& running);
  [[nodiscard]] bool holds(Running& running);
  [[nodiscard]] bool slots_in_use();
  [[nodiscard]] bool given_up(const Running& running) const;
  [[nodiscard]] bool in_the_way(const Running& running) const;
  [[nodiscard]] std::uint64_t next_bytes(Running& running) const;
  Result<bool> enqueue(Running& running);  ///< true: all of it is enqueued
  Status enqueue_batch(Running& running, Batch& batch);
  Status enqueue_kernel(const Batch& batch, cudaStream_t stream) const;
  Status enqueue_spans(const Batch& batch, cudaStream_t stream) const;
  Status enqueue_rects(Running& running);
  [[nodiscard]] cudaStream_t last_stream(const Running& running) const;
  cudaError_t record_end(const Running& running);
  cudaError_t finish(Running& running);
  void close(std::unique_ptr<Running> running);
  cudaError_t close_ended();
  void learn(const Running& running);
  void look();

  const copy::Direction direction_;
  LaneContext& context_;
  const Berth& berth_;  ///< may become wide or narrow between two batches
  cudaStream_t kernel_ = nullptr, dma_ = nullptr;
  std::array<Slot, kSlotsPerWay> slots_;
  std::uint64_t turn_ = 0;
  Event passed_;  ///< by who had the slots before; none: it is over
  Gate gate_;
  Checkpoints checkpoints_{kMarks};
  PathChoice paths_;
  Clock::time_point turn_asked_;
  std::deque<std::unique_ptr<Running>> waiting_;  ///< at most one of them is enqueued in part
  std::deque<std::unique_ptr<Running>> queued_;
  Batch batch_;
};

}  // namespace lmcache::gpu
