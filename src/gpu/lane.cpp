#include "gpu/lane.hpp"

#include "geometry/layout.hpp"
#include "gpu/cuda.hpp"
#include "gpu/memory.hpp"
#include "page_copy.cuh"

#include <algorithm>
#include <atomic>
#include <cstring>

namespace lmcache::gpu {
namespace {

constexpr std::uint64_t kLeastBatch = 1ull << 20;

/// A rectangle costs about 2 us to enqueue: with smaller ones the link would mostly wait. What is
/// above is measured.
constexpr std::uint64_t kLeastRect = 16ull << 10;
constexpr int kRectsAtOnce = 12;

/// Shorter ones tell more of the polling than of the link.
constexpr std::uint64_t kLeastMeasured = 4ull << 20;
constexpr std::uint64_t kFirstSamples = 4;
constexpr std::chrono::milliseconds kTryAgain{1000};

Status check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return {};
  static_cast<void>(cudaGetLastError());
  return cuda_error(Cause::kCopyFailed, what, error);
}

Pages pages_of(const Transfer& transfer, const LaneContext& context) {
  return {transfer.geometry.get(), &transfer.ids,        transfer.objects,   transfer.first_chunk,
          transfer.null_id,        transfer.skip_tokens, context.align_bytes};
}

}  // namespace

Running::Running(Transfer given, LaneContext& context) : transfer(std::move(given)) {
  // By address: what lies side by side in the pool goes in one DMA.
  std::ranges::sort(transfer.objects, {}, &ObjectRef::data);
  batches.emplace(pages_of(transfer, context));
  left = object_bytes(transfer.objects);
}

Way::~Way() {
  if (gate_ != nullptr) static_cast<void>(cudaFreeHost(gate_));
  for (const Slot& slot : slots_)
    if (slot.buffer != nullptr) static_cast<void>(cudaFree(slot.buffer));
  for (const cudaStream_t stream : {kernel_, dma_})
    if (stream != nullptr) static_cast<void>(cudaStreamDestroy(stream));
  static_cast<void>(cudaGetLastError());
}

Status Way::open() {
  int least = 0, greatest = 0;
  cudaError_t error = cudaDeviceGetStreamPriorityRange(&least, &greatest);
  for (cudaStream_t* stream : {&kernel_, &dma_})
    if (error == cudaSuccess)
      error = cudaStreamCreateWithPriority(stream, cudaStreamNonBlocking, greatest);
  if (error == cudaSuccess) {
    error = cudaHostAlloc(reinterpret_cast<void**>(&gate_), sizeof *gate_,
                          cudaHostAllocMapped | cudaHostAllocPortable);
    if (error == cudaSuccess) *gate_ = 0;
  }
  for (Slot& slot : slots_) {
    if (error == cudaSuccess) error = cudaMalloc(&slot.buffer, kSlotBytes);
    if (error != cudaSuccess) {
      static_cast<void>(cudaGetLastError());
      return cuda_error(Cause::kNoMemory, "streams and staging buffers", error);
    }
    for (Event* event : {&slot.first, &slot.second}) {
      auto made = make_event(cudaEventDisableTiming);
      if (!made) return made.error();
      *event = std::move(*made);
    }
  }
  return {};
}

Status Way::wait_for(cudaEvent_t event) {
  Status waits = check(cudaStreamWaitEvent(kernel_, event), "waiting for an event");
  return waits ? check(cudaStreamWaitEvent(dma_, event), "waiting for an event") : waits;
}

void Way::submit(Transfer transfer) {
  waiting_.push_back(std::make_unique<Running>(std::move(transfer), context_));
}

cudaError_t Way::advance() {
  while (!waiting_.empty() && !full()) {
    Running& running = *waiting_.front();
    Result<bool> all = running.begun ? Result<bool>(false) : [&]() -> Result<bool> {
      running.begun = true;
      if (Status begun = begin(running); !begun) return begun.error();
      return false;
    }();
    if (all && holds(running)) break;
    if (!running.status) all = running.status.error();
    if (all) all = enqueue(running);
    if (all && !*all) break;  // as far ahead of the GPU as it may be
    if (!all) running.status = all.error();
    if (const Status finished = finish(running); !finished && running.status)
      running.status = finished.error();
    std::unique_ptr<Running> moved = std::move(waiting_.front());
    waiting_.pop_front();
    if (!moved->end) {  // not even an event: what has been enqueued is unknown
      const cudaError_t idle = cudaDeviceSynchronize();
      close(std::move(moved));
      if (is_sticky(idle)) return idle;
      continue;
    }
    queued_.push_back(std::move(moved));
  }
  look();
  // Staged and direct transfers end in their own order.
  for (std::size_t i = 0; i < queued_.size();) {
    const cudaError_t state = cudaEventQuery(queued_[i]->end->event());
    const bool waits = std::ranges::any_of(queued_[i]->needs,
                                           [](const FencePtr& fence) { return !fence->settled(); });
    if (state == cudaErrorNotReady || (state == cudaSuccess && waits)) {
      ++i;
      continue;
    }
    if (state != cudaSuccess) {
      static_cast<void>(cudaGetLastError());
      return state;
    }
    std::unique_ptr<Running> ended = std::move(queued_[i]);
    queued_.erase(queued_.begin() + static_cast<std::ptrdiff_t>(i));
    close(std::move(ended));
  }
  return cudaSuccess;
}

/// Everything the transfer has to wait for, on the device.
Status Way::begin(Running& running) {
  Transfer& transfer = running.transfer;
  if (running.abandoned) return Error{Cause::kTimeout, "the engine has gone"};
  if (Clock::now() > transfer.start_by)
    return Error{Cause::kTimeout, "the copy could not begin in time"};
  Memory& memory = *transfer.memory;
  if (Status ready = memory.prepare(*transfer.geometry, transfer.bases); !ready) return ready;
  running.needs = context_.pending->find(transfer.objects);
  running.alone = queued_.empty() && running.needs.empty();
  if (direct_may_be_faster()) {
    auto rects = plan_rects(pages_of(transfer, context_), memory.origins());
    if (total_bytes(rects) >= kLeastRect * rects.size()) {
      running.rects = std::move(rects);
      running.direct = true;
      ++context_.direct_transfers;
    }
  }

  // A DMA to memory that is not pinned blocks this thread until it has ended, so it must not have
  // to wait for anything that this thread does.
  running.held = std::ranges::any_of(transfer.objects, [this](const ObjectRef& object) {
    return !context_.pool->pinned(object.data);
  });
  if (Status waits = wait_for_engine(running); !waits) return waits;
  for (const FencePtr& fence : running.needs) {  // their bytes are read by DMA
    const auto store = std::static_pointer_cast<ExportedEvent>(fence);
    if (Status waits = check(cudaStreamWaitEvent(dma_, store->event()), "waiting for a store");
        !waits)
      return waits;
  }
  return {};
}

/// Makes whatever touches the engine's pages wait for the request's event: the kernel, or the copy
/// engines alone.
Status Way::wait_for_engine(Running& running) {
  const wire::ByteView event(running.transfer.event);
  if (event.size() == Timeline::kHandleBytes) {
    auto word = context_.timeline->open(event);
    if (!word) return word.error();
    running.engine_word = *word;
    return running.held ? Status{} : close_gate(running);
  }
  if (event.size() == sizeof(cudaIpcEventHandle_t)) {
    if (context_.isolated_ipc)
      return Error{Cause::kMalformed,
                   "an interprocess event, but the server runs with --isolated-ipc: it takes "
                   "timeline semaphores"};
    cudaIpcEventHandle_t handle;
    std::memcpy(&handle, event.data(), sizeof handle);
    cudaEvent_t opened = nullptr;
    if (Status open = check(cudaIpcOpenEventHandle(&opened, handle),
                            "the request's event handle cannot be opened (do both processes share "
                            "one IPC namespace?)");
        !open)
      return open;
    running.engine_event = Event(opened);
    return over(running) || running.held ? Status{} : close_gate(running);
  }
  if (names_no_event(event)) return {};
  return Error{Cause::kMalformed,
               "an event handle of " + std::to_string(event.size()) +
                   " bytes is neither an event (64) nor a timeline semaphore (81)"};
}

/// Is what the engine has asked to wait for over?
bool Way::over(const Running& running) const {
  if (running.engine_word) return context_.timeline->reached(*running.engine_word);
  return !running.engine_event || cudaEventQuery(running.engine_event.get()) == cudaSuccess;
}

/// The copy waits for a word of ours, which look() sets when the engine's event is over or the
/// engine has gone: nothing on the device ever waits for another process itself.
Status Way::close_gate(Running& running) {
  running.gate = ++gates_;
  const auto functions = driver();
  if (!functions) return functions.error();
  const CUresult error = (*functions)
                             ->stream_wait_value64(running.direct ? dma_ : kernel_,
                                                   reinterpret_cast<CUdeviceptr>(gate_),
                                                   running.gate, CU_STREAM_WAIT_VALUE_GEQ);
  if (error != CUDA_SUCCESS) return cuda_error(Cause::kCopyFailed, "waiting for the engine", error);
  return {};
}

/// True while a held transfer may not start; sets its status if it never may.
bool Way::holds(Running& running) {
  if (!running.held) return false;
  if (running.abandoned || Clock::now() > running.transfer.start_by) {
    running.status = Error{Cause::kTimeout, "the engine has gone, or its event took too long"};
  } else if (!over(running) || std::ranges::any_of(running.needs, [](const FencePtr& fence) {
               return !fence->settled();
             })) {
    return true;
  }
  running.held = false;
  return false;
}

void Way::open_gate(Running& running) {
  if (running.gate == 0) return;
  std::atomic_ref(*gate_).store(std::max(std::exchange(running.gate, 0), *gate_),
                                std::memory_order_release);
}

Result<bool> Way::enqueue(Running& running) {
  if (running.direct) {
    while (running.next_rect < running.rects.size()) {
      if (full()) return false;
      if (Status done = enqueue_rects(running); !done) return done.error();
    }
    return true;
  }
  for (;;) {
    if (full()) return false;
    if (!running.batches->next(next_bytes(running), batch_)) return true;
    running.left -= std::min(running.left, batch_.buffer_bytes);
    if (Status done = enqueue_batch(running, batch_); !done) return done.error();
  }
}

std::uint64_t Way::next_bytes(Running& running) const {
  if (direction_ == copy::Direction::kStore) {
    running.next_batch = std::min(kSlotBytes, std::max(kLeastBatch, running.next_batch * 2));
  } else {
    running.next_batch = std::clamp(running.left / 2, kLeastBatch, kSlotBytes);
  }
  for (const KernelGroup& group : running.transfer.geometry->kernel_groups)
    running.next_batch = std::max(running.next_batch, geometry::page_bytes(group) + 512);
  return running.next_batch;
}

Status Way::enqueue_batch(Running& running, Batch& batch) {
  Slot& slot = slots_[turn_++ % kSlotsPerWay];
  batch.pages.groups = running.transfer.memory->groups();
  batch.pages.buffer = slot.buffer;
  const bool store = direction_ == copy::Direction::kStore;
  const cudaStream_t first = store ? kernel_ : dma_, second = store ? dma_ : kernel_;
  Status ok = check(cudaStreamWaitEvent(first, slot.second.get()), "waiting for a slot");
  if (ok) ok = store ? enqueue_kernel(batch, first) : enqueue_spans(batch, first);
  if (ok) ok = check(cudaEventRecord(slot.first.get(), first), "recording an event");
  if (ok) ok = check(cudaStreamWaitEvent(second, slot.first.get()), "waiting for a step");
  if (ok) ok = store ? enqueue_spans(batch, second) : enqueue_kernel(batch, second);
  if (ok) ok = check(cudaEventRecord(slot.second.get(), second), "recording an event");
  if (!ok) return ok;
  return turn_ % kBatchesPerMark == 0 ? mark(second) : Status{};
}

/// How far the GPU has come: full() looks at it.
Status Way::mark(cudaStream_t stream) {
  if (spare_.empty()) {
    auto made = make_event(cudaEventDisableTiming);
    if (!made) return made.error();
    spare_.push_back(std::move(*made));
  }
  checkpoints_.push_back(std::move(spare_.back()));
  spare_.pop_back();
  return check(cudaEventRecord(checkpoints_.back().get(), stream), "recording an event");
}

Status Way::enqueue_kernel(const Batch& batch, cudaStream_t stream) const {
  const auto direction = direction_ == copy::Direction::kStore ? kernels::PageDirection::kPack
                                                               : kernels::PageDirection::kUnpack;
  return check(kernels::launch_page_copy(batch.pages, direction, context_.copy_blocks, stream),
               "launching the page kernel");
}

Status Way::enqueue_spans(const Batch& batch, cudaStream_t stream) const {
  for (const HostSpan& span : batch.spans) {
    std::byte* buffer = batch.pages.buffer + span.buffer;
    const cudaError_t error =
        direction_ == copy::Direction::kStore
            ? cudaMemcpyAsync(span.host, buffer, span.bytes, cudaMemcpyDeviceToHost, stream)
            : cudaMemcpyAsync(buffer, span.host, span.bytes, cudaMemcpyHostToDevice, stream);
    if (error != cudaSuccess) return check(error, "copying between a slot and L1");
  }
  return {};
}

Status Way::enqueue_rects(Running& running) {
  for (int i = 0; running.next_rect < running.rects.size() && i < kRectsAtOnce;
       ++i, ++running.next_rect) {
    const Rect& rect = running.rects[running.next_rect];
    void* pages = reinterpret_cast<void*>(rect.device);
    const cudaError_t error =
        direction_ == copy::Direction::kStore
            ? cudaMemcpy2DAsync(rect.host, rect.host_pitch, pages, rect.device_pitch, rect.width,
                                rect.rows, cudaMemcpyDeviceToHost, dma_)
            : cudaMemcpy2DAsync(pages, rect.device_pitch, rect.host, rect.host_pitch, rect.width,
                                rect.rows, cudaMemcpyHostToDevice, dma_);
    if (error != cudaSuccess) return check(error, "copying between pages and L1");
  }
  return mark(dma_);
}

/// The end of the transfer, or of what was enqueued before it failed, and the answer.
Status Way::finish(Running& running) {
  Transfer& transfer = running.transfer;
  const auto answer = std::exchange(transfer.queued, nullptr);
  const auto fail = [&](const Error& error) {
    answer(error);
    return Status(error);
  };
  auto end = context_.events->next();
  if (!end) return fail(running.status ? end.error() : running.status.error());
  if (Status behind = gather_ends(running, (*end)->event()); !behind) return fail(behind.error());
  running.end = std::move(*end);
  if (!running.status) return fail(running.status.error());
  wire::Bytes handle = running.end->handle();
  if (transfer.event.size() == Timeline::kHandleBytes) {
    auto signal = context_.timeline->signal(dma_);
    if (!signal) return fail(signal.error());
    handle = std::move(*signal);
  }
  if (direction_ == copy::Direction::kStore) context_.pending->add(transfer.objects, running.end);
  answer(std::move(handle));
  return {};
}

/// Records `event` behind all of the transfer. The kernels' stream is left alone where they are:
/// even an event there would take a turn of the GPU from the engine.
Status Way::gather_ends(const Running& running, cudaEvent_t event) {
  if (running.direct) return check(cudaEventRecord(event, dma_), "recording the end");
  Status ok = check(cudaEventRecord(event, kernel_), "recording the end");
  if (ok) ok = check(cudaStreamWaitEvent(dma_, event), "gathering the ends");
  return ok ? check(cudaEventRecord(event, dma_), "recording the end") : ok;
}

void Way::close(std::unique_ptr<Running> running) {
  measure(*running);
  // What it read may have been the remains of a store that failed.
  for (const FencePtr& fence : running->needs) {
    if (fence->failed() && running->status)
      running->status = Error{Cause::kCopyFailed, "the store it reads from has failed"};
  }
  Transfer& transfer = running->transfer;
  if (running->end) running->end->settle(running->status.has_value());
  if (transfer.queued) std::exchange(transfer.queued, nullptr)(running->status.error());
  std::exchange(transfer.done, nullptr)(running->status);
  // Last: who has found an object of a failed store finds its fence as well.
  if (running->end) context_.pending->remove(transfer.objects, running->end);
}

void Way::fail_all(const Error& error) {
  if (gate_ != nullptr) std::atomic_ref(*gate_).store(UINT64_MAX, std::memory_order_release);
  for (auto* queue : {&queued_, &waiting_}) {
    while (!queue->empty()) {
      std::unique_ptr<Running> running = std::move(queue->front());
      queue->pop_front();
      running->status = error;
      close(std::move(running));
    }
  }
  checkpoints_.clear();
}

bool Way::full() {
  while (!checkpoints_.empty() && cudaEventQuery(checkpoints_.front().get()) == cudaSuccess) {
    spare_.push_back(std::move(checkpoints_.front()));
    checkpoints_.pop_front();
  }
  return checkpoints_.size() >= kMarks;
}

/// Opens the gates of transfers whose engine's event is over, in their order; notes when copies
/// could start.
void Way::look() {
  bool blocked = false;
  const auto see = [&](Running& running) {
    if (!running.begun || running.held || blocked || running.started != Clock::time_point{}) return;
    const bool late = Clock::now() > running.transfer.start_by;
    if (!over(running) && !running.abandoned && !late) {
      blocked = true;
      return;
    }
    if (running.status && (running.abandoned || (late && !over(running))))
      running.status =
          Error{Cause::kTimeout, running.abandoned ? "the engine has gone before its event was over"
                                                   : "the engine's event was not over in time"};
    open_gate(running);
    running.started = Clock::now();
  };
  for (const auto& running : queued_) see(*running);
  if (!waiting_.empty()) see(*waiting_.front());
  static_cast<void>(cudaGetLastError());
}

void Way::abandon(const Memory* memory) {
  for (auto* queue : {&queued_, &waiting_})
    for (const auto& running : *queue)
      if (memory == nullptr || running->transfer.memory.get() == memory) running->abandoned = true;
}

bool Way::gated() const noexcept {
  const auto closed = [](const auto& running) { return running->gate != 0; };
  return std::ranges::any_of(queued_, closed) || std::ranges::any_of(waiting_, closed);
}

bool Way::moving() const noexcept {
  const auto started = [](const auto& running) { return running->started != Clock::time_point{}; };
  return std::ranges::any_of(queued_, started) || std::ranges::any_of(waiting_, started);
}

/// Learns from a transfer that nothing but the GPU and the link could delay.
void Way::measure(const Running& running) {
  const std::uint64_t bytes = object_bytes(running.transfer.objects);
  if (!running.alone || !running.status || bytes < kLeastMeasured ||
      running.started == Clock::time_point{})
    return;
  const auto now = Clock::now();
  const double took = std::chrono::duration<double, std::micro>(now - running.started).count();
  const double rate = static_cast<double>(bytes) / std::max(took, 1.0);
  Rate& kind = running.direct ? direct_ : staged_;
  kind.lately = kind.samples == 0 ? rate : (kind.lately + rate) / 2;
  kind.best = std::max(kind.best, kind.lately);
  ++kind.samples;
  kind.last = now;
}

/// What either kind moved lately decides. The copy engines alone are worth a try once, and again
/// whenever kernels are slower than they have been; while they are in use kernels get a try now and
/// then.
bool Way::direct_may_be_faster() const {
  if (staged_.samples < kFirstSamples) return false;
  if (direct_.samples == 0) return true;
  if (direct_.lately > staged_.lately) return Clock::now() - staged_.last < kTryAgain;
  return staged_.lately < staged_.best / 2 && Clock::now() - direct_.last > kTryAgain;
}

}  // namespace lmcache::gpu
