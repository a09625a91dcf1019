#include "gpu/way.hpp"

#include "gpu/cuda.hpp"
#include "gpu/lane.hpp"
#include "gpu/memory.hpp"

#include <algorithm>
#include <new>
#include <utility>

namespace lmcache::gpu {
namespace {

Error store_failed() {
  return {Cause::kCopyFailed, "the store it reads from has failed"};
}

}  // namespace

Running::Running(Transfer given, LaneContext& context) : transfer(std::move(given)) {
  // By address: what lies side by side in the pool goes in one DMA.
  std::ranges::sort(transfer.objects, {}, &ObjectRef::data);
  batches.emplace(pages(context));
  left = object_bytes(transfer.objects);
}

Pages Running::pages(const LaneContext& context) const {
  return {transfer.geometry.get(), &transfer.ids,        transfer.objects,   transfer.first_chunk,
          transfer.null_id,        transfer.skip_tokens, context.align_bytes};
}

bool Running::may_run() const {
  return engine_event.over() && transfer.memory->usable();
}

Way::~Way() {
  for (const cudaStream_t stream : {kernel_, dma_}) {
    if (stream == nullptr) continue;
    context_.timeline->forget(stream);
    static_cast<void>(cudaStreamDestroy(stream));
  }
  static_cast<void>(cudaGetLastError());
}

Status Way::open(const Way* before) {
  int least = 0, greatest = 0;
  cudaError_t error = cudaDeviceGetStreamPriorityRange(&least, &greatest);
  for (cudaStream_t* stream : {&kernel_, &dma_})
    if (error == cudaSuccess)
      error = cudaStreamCreateWithPriority(stream, cudaStreamNonBlocking, greatest);
  if (error != cudaSuccess) {
    static_cast<void>(cudaGetLastError());
    return cuda_error(Cause::kNoMemory, "streams", error);
  }
  for (Slot& slot : slots_) {
    for (Event* event : {&slot.first, &slot.second}) {
      auto made = make_event(cudaEventDisableTiming);
      if (!made) return made.error();
      *event = std::move(*made);
    }
  }
  if (before != nullptr && before->size() > 0) {
    auto made = make_event(cudaEventDisableTiming);
    if (!made) return made.error();
    passed_ = std::move(*made);
    // Where the second steps are: they wait for the first ones.
    const cudaStream_t last =
        direction_ == copy::Direction::kStore ? before->dma_ : before->kernel_;
    if (Status ok = check(cudaEventRecord(passed_.get(), last), "recording an event"); !ok)
      return ok;
  }
  return gate_.make();
}

void Way::submit(Transfer transfer) {
  waiting_.push_back(std::make_unique<Running>(std::move(transfer), context_));
}

cudaError_t Way::advance() {
  look();  // what waits for a gate goes on as soon as it is open
  for (auto next = waiting_.begin(); next != waiting_.end() && !checkpoints_.full();) {
    Running& running = **next;
    const Step done = step(running);
    if (done == Step::kHeld) {  // those behind it need not wait
      ++next;
      continue;
    }
    if (done == Step::kFull) break;  // as far ahead of the GPU as it may be
    cudaError_t error = finish(running);
    if (error == cudaSuccess && !running.status) error = context_error();
    queued_.push_back(std::move(*next));
    next = waiting_.erase(next);
    if (error != cudaSuccess) return error;
  }
  checkpoints_.pass();
  look();
  return close_ended();
}

/// Brings a transfer as far as it gets now.
Way::Step Way::step(Running& running) {
  try {
    return try_step(running);
  } catch (const std::bad_alloc&) {  // costs this transfer, not the server
    running.status = Error{Cause::kNoMemory, "no memory to plan a copy"};
    return Step::kDone;
  }
}

Way::Step Way::try_step(Running& running) {
  if (!std::exchange(running.begun, true)) running.status = begin(running);
  if (running.status && !running.entered) {
    if (holds(running)) return Step::kHeld;
    if (running.status) running.status = enter(running);
    look();  // its copies start now: to enqueue them takes time
  }
  if (!running.status) return Step::kDone;
  const Result<bool> all = enqueue(running);
  if (all && !*all) return Step::kFull;
  if (!all) running.status = all.error();
  return Step::kDone;
}

/// Staged and direct transfers end in their own order.
cudaError_t Way::close_ended() {
  for (std::size_t i = 0; i < queued_.size();) {
    const Running& running = *queued_[i];
    const cudaError_t state =
        running.end ? cudaEventQuery(running.end->event()) : cudaSuccess;  // nothing was enqueued
    const bool waits = running.gate != 0 ||  // whoever is behind it relies on its being opened
                       std::ranges::any_of(running.transfer.needs,
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

/// What can be done before it is the transfer's turn: nothing is enqueued.
Status Way::begin(Running& running) {
  Transfer& transfer = running.transfer;
  if (given_up(running)) return Error{Cause::kTimeout, "the engine has gone"};
  Memory& memory = *transfer.memory;
  if (Status ready = memory.prepare(*transfer.geometry, transfer.bases); !ready) return ready;
  auto event = context_.engine_events->open(transfer.event, memory.contents().semaphores);
  if (!event) return event.error();
  running.engine_event = std::move(*event);
  auto end = context_.events->next();
  if (!end) return end.error();
  running.end = std::move(*end);
  if (direction_ == copy::Direction::kStore) running.fence = std::make_shared<Fence>(running.end);

  running.alone = queued_.empty() && transfer.needs.empty();
  choose_path(running);

  // A DMA to memory that is not pinned blocks this thread until it has ended, so it must not have
  // to wait for anything that this thread does. Nor may the streams that engines share. And what
  // writes to pages must not be let through a gate for any other reason than the engine's event.
  running.blocks = std::ranges::any_of(transfer.objects, [this](const ObjectRef& object) {
    return !context_.pool->pinned(object.data);
  });
  running.held = running.blocks || memory.lane().users > 1 ||
                 direction_ == copy::Direction::kRetrieve ||
                 context_.gates_open_by != Clock::time_point::max();
  return {};
}

/// Everything that what is enqueued from now on has to wait for, on the device.
Status Way::enter(Running& running) {
  running.entered = true;
  running.alone = running.alone && queued_.empty();
  if (Status waits = wait_for_engine(running); !waits) return waits;
  for (const FencePtr& fence : running.transfer.needs) {  // their bytes are read by DMA
    const auto store = fence->end();
    Status waits;
    if (store) waits = check(cudaStreamWaitEvent(dma_, store->event()), "waiting for a store");
    if (waits && fence->failed()) waits = store_failed();
    if (!waits) return waits;
  }
  // Behind the gate: while the engine works, no turn is taken from it.
  return running.path == Path::kStaged && !running.rects.empty() ? ask_for_turn() : Status{};
}

/// Whatever touches the engine's pages waits for the request's event.
Status Way::wait_for_engine(Running& running) {
  if (running.held || running.may_run()) return {};
  const auto close_before = [&](cudaStream_t stream) -> Status {
    const auto number = gate_.close(stream);
    if (!number) return number.error();
    running.gate = *number;
    running.gated_since = Clock::now();
    return {};
  };
  Status closed;
  if (running.path == Path::kStaged) closed = close_before(kernel_);
  if (closed && !running.rects.empty()) closed = close_before(dma_);
  return closed;
}

/// Nobody waits for its engine any more.
bool Way::given_up(const Running& running) const {
  return context_.stopping || running.transfer.memory->given_up(Clock::now());
}

/// Its closed gate has been in the way of others for too long: of the memory of those that have
/// gone, of those who share its lane, or of those who want what it stores.
bool Way::in_the_way(const Running& running) const {
  const bool shared = running.transfer.memory->lane().users > 1;
  const auto now = Clock::now();
  const auto wanted = running.fence ? running.fence->wanted_since() : Clock::time_point::max();
  return now > context_.gates_open_by || (shared && now > running.gated_since + kGatePatience) ||
         (wanted < now && now - wanted > context_.reader_patience);
}

/// True while nothing of the transfer may be enqueued; sets its status if it never may.
///
/// A retrieve is not queued behind a store that may still fail for its engine's sake: what is
/// queued cannot be stopped, and would bring whatever L1 had there before.
bool Way::holds(Running& running) {
  const auto& needs = running.transfer.needs;
  if (given_up(running)) {
    running.status = Error{Cause::kTimeout, "the engine has gone"};
    return false;
  }
  if (Clock::now() > running.transfer.start_by) {
    running.status = Error{Cause::kTimeout, "the copy could not begin in time"};
    return false;
  }
  if (std::ranges::any_of(needs, &Fence::failed)) {
    running.status = store_failed();
    return false;
  }
  // Behind a closed gate a DMA that blocks this thread, which alone can open it, would never end.
  if (running.held && (gated() || !running.may_run())) return true;
  if (slots_in_use()) return true;
  return std::ranges::any_of(needs, [&](const FencePtr& fence) {
    if (fence->started()) return running.blocks && !fence->settled();
    fence->want();
    return true;
  });
}

/// By who had them before. This is not waited for on the device: it may be behind a closed gate,
/// and nobody but its own lane is to wait for that there.
bool Way::slots_in_use() {
  if (passed_ && cudaEventQuery(passed_.get()) != cudaErrorNotReady) passed_.reset();
  return passed_ != nullptr;
}

/// The end of the transfer, or of what was enqueued before it failed, and the answer.
cudaError_t Way::finish(Running& running) {
  Transfer& transfer = running.transfer;
  const auto answer = std::exchange(transfer.queued, nullptr);
  if (!running.entered) running.end.reset();  // nothing was enqueued
  if (running.end) {
    if (const cudaError_t error = record_end(running); error != cudaSuccess) {
      static_cast<void>(cudaGetLastError());
      running.status = cuda_error(Cause::kCopyFailed, "recording the end", error);
      answer(running.status.error());
      return error;
    }
  }
  if (!running.status) {
    answer(running.status.error());
    return cudaSuccess;
  }
  wire::Bytes handle = running.end->handle();
  if (transfer.event.size() == Timeline::kHandleBytes || context_.engine_events->isolated()) {
    auto signal = context_.timeline->signal(last_stream(running));
    if (!signal) {
      running.status = signal.error();
      answer(signal.error());
      return cudaSuccess;
    }
    handle = std::move(*signal);
  }
  if (running.fence) context_.pending->add(transfer.objects, running.fence);
  answer(std::move(handle));
  return cudaSuccess;
}

void Way::close(std::unique_ptr<Running> running) {
  learn(*running);
  Transfer& transfer = running->transfer;
  // What it read may have been the remains of a store whose GPU was lost.
  if (running->status && std::ranges::any_of(transfer.needs, &Fence::failed))
    running->status = store_failed();
  if (running->fence) running->fence->settle(running->status.has_value());
  if (transfer.queued) std::exchange(transfer.queued, nullptr)(running->status.error());
  std::exchange(transfer.done, nullptr)(running->status);
  // Last: who has found an object of a failed store finds its fence as well.
  if (running->fence) context_.pending->remove(transfer.objects, running->fence);
}

void Way::fail_all(const Error& error) {
  gate_.open_all();
  for (auto* queue : {&queued_, &waiting_}) {
    while (!queue->empty()) {
      std::unique_ptr<Running> running = std::move(queue->front());
      queue->pop_front();
      running->status = error;
      close(std::move(running));
    }
  }
  checkpoints_.forget();
}

/// Opens the gates of transfers whose engine's event is over, in their order; notes when copies
/// could start. A store that is given up goes through as well, but its objects count for nothing.
void Way::look() {
  bool blocked = false;
  const auto see = [&](Running& running) {
    if (!running.entered || blocked || running.started != Clock::time_point{}) return;
    if (running.gate != 0) {
      const char* why =
          given_up(running) ? "the engine has gone before its event was over" : nullptr;
      if (why == nullptr && !running.may_run()) {
        if (Clock::now() > running.transfer.start_by) {
          why = "the engine's event was not over in time";
        } else if (in_the_way(running)) {
          why = "the engine's event was not over, and others could not wait for it";
        } else {
          blocked = true;
          return;
        }
      }
      if (why != nullptr && running.status) running.status = Error{Cause::kTimeout, why};
      gate_.open(std::exchange(running.gate, 0));
    }
    running.started = Clock::now();
    if (running.status && running.fence) running.fence->start();
  };
  for (const auto& running : queued_) see(*running);
  for (const auto& running : waiting_) see(*running);
  static_cast<void>(cudaGetLastError());
}

bool Way::gated() const noexcept {
  const auto closed = [](const auto& running) { return running->gate != 0; };
  return std::ranges::any_of(queued_, closed) || std::ranges::any_of(waiting_, closed);
}

bool Way::awaits_engine() const noexcept {
  return gated() ||
         std::ranges::any_of(waiting_, [](const auto& one) { return one->begun && !one->entered; });
}

bool Way::moving() const noexcept {
  const auto started = [](const auto& running) { return running->started != Clock::time_point{}; };
  return std::ranges::any_of(queued_, started) || std::ranges::any_of(waiting_, started);
}

void Way::learn(const Running& running) {
  if (!running.alone || !running.status || running.started == Clock::time_point{}) return;
  const auto now = Clock::now();
  paths_.learn(running.path, object_bytes(running.transfer.objects), now - running.started, now);
}

}  // namespace lmcache::gpu
