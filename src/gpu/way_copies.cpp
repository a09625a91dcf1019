// What a way enqueues: which copies a transfer is made of, and their calls of CUDA.
#include "gpu/way.hpp"

#include "geometry/layout.hpp"
#include "gpu/cuda.hpp"
#include "gpu/memory.hpp"
#include "page_copy.cuh"

#include <algorithm>
#include <utility>

namespace lmcache::gpu {
namespace {

constexpr std::uint64_t kLeastBatch = 1ull << 20;

/// A rectangle costs about 2 us to enqueue: with smaller ones the link would mostly wait. What is
/// above is measured.
constexpr std::uint64_t kLeastRect = 16ull << 10;
constexpr int kRectsAtOnce = 12;

/// What the link takes in the time that the GPU needs to change processes. Before batches it must
/// go nearly at the link's speed.
constexpr std::uint64_t kHeadBytes = 7ull << 20;
constexpr std::chrono::microseconds kTurnTakes{150};
/// An idle GPU stays with the process that had it last; what the engine does meanwhile is unknown.
constexpr std::chrono::microseconds kTurnLasts{500};
constexpr std::uint64_t kLeastHeadRect = 128ull << 10;

bool worthwhile(const std::vector<Rect>& rects, std::uint64_t least) {
  return total_bytes(rects) >= least * rects.size();
}

}  // namespace

void Way::expect(std::uint64_t bytes) {
  if (direction_ != copy::Direction::kStore || bytes <= kHeadBytes || size() > 0 ||
      paths_.choose(Clock::now()) != Path::kStaged)
    return;
  static_cast<void>(ask_for_turn());
}

/// Of the GPU, unless we have asked just now.
Status Way::ask_for_turn() {
  const auto now = Clock::now();
  if (now - turn_asked_ < kTurnLasts) return {};
  Status asked = check(kernels::launch_nothing(kernel_), "launching an empty kernel");
  if (asked) turn_asked_ = now;
  return asked;
}

/// The whole transfer by the copy engines alone, or what they move until the first kernel has its
/// turn.
void Way::choose_path(Running& running) {
  const Pages pages = running.pages(context_);
  if (plan_direct(running, pages)) {
    running.path = Path::kDirect;
    ++context_.direct_transfers;
  } else if (direction_ == copy::Direction::kStore && running.alone && running.left > kHeadBytes) {
    plan_head(running, pages);
  }
}

bool Way::plan_direct(Running& running, const Pages& pages) {
  const auto now = Clock::now();
  const bool small = running.left <= kHeadBytes;
  DirectPlans& plans = running.transfer.memory->direct_plans(direction_);
  if (!small && (paths_.choose(now) != Path::kDirect || !plans.due(now))) return false;
  auto rects = plan_rects(pages, running.transfer.memory->origins(), running.left / kLeastRect);
  const bool good = rects && worthwhile(*rects, kLeastRect);
  if (!small) plans.planned(good, now);
  if (good) running.rects = std::move(*rects);
  return good;
}

/// What the copy engines move before the first kernel can run.
std::uint64_t Way::head_bytes() const {
  const auto waited = Clock::now() - turn_asked_;
  if (waited > kTurnLasts) return kHeadBytes;
  if (waited >= kTurnTakes) return 0;
  return kHeadBytes * static_cast<std::uint64_t>((kTurnTakes - waited).count()) /
         static_cast<std::uint64_t>(Clock::duration(kTurnTakes).count());
}

void Way::plan_head(Running& running, const Pages& pages) {
  const std::uint64_t head = head_bytes();
  Batcher batches(pages);
  if (head < kLeastBatch || !batches.next(head, batch_)) return;
  const bool few = add_rects(batch_, *pages.geometry, running.transfer.memory->origins(),
                             kHeadBytes / kLeastHeadRect, running.rects);
  if (few && worthwhile(running.rects, kLeastHeadRect)) {
    running.batches.emplace(batches);
    running.left -= std::min(running.left, batch_.buffer_bytes);
    running.next_batch = head / 2;
  } else {
    running.rects.clear();
  }
}

Result<bool> Way::enqueue(Running& running) {
  while (running.next_rect < running.rects.size()) {
    if (checkpoints_.full()) return false;
    if (Status done = enqueue_rects(running); !done) return done.error();
  }
  if (running.path == Path::kDirect) return true;
  for (;;) {
    if (checkpoints_.full()) return false;
    if (!running.batches->next(next_bytes(running), batch_)) return true;
    running.left -= std::min(running.left, batch_.buffer_bytes);
    if (Status done = enqueue_batch(running, batch_); !done) return done.error();
  }
}

std::uint64_t Way::next_bytes(Running& running) const {
  if (direction_ == copy::Direction::kStore) {
    running.next_batch =
        std::min(berth_.slot_bytes(), std::max(kLeastBatch, running.next_batch * 2));
  } else {
    running.next_batch = std::clamp(running.left / 2, kLeastBatch, berth_.slot_bytes());
  }
  for (const KernelGroup& group : running.transfer.geometry->kernel_groups)
    running.next_batch = std::max(running.next_batch, geometry::page_bytes(group) + 512);
  return running.next_batch;
}

Status Way::enqueue_batch(Running& running, Batch& batch) {
  const bool store = direction_ == copy::Direction::kStore;
  const std::uint64_t number = turn_++ % kSlotsPerWay;
  Slot& slot = slots_[number];
  batch.pages.groups = running.transfer.memory->groups();
  batch.pages.buffer = berth_.slot(store ? number : kSlotsPerWay + number);
  const cudaStream_t first = store ? kernel_ : dma_, second = store ? dma_ : kernel_;
  Status ok = check(cudaStreamWaitEvent(first, slot.second.get()), "waiting for a slot");
  if (ok) ok = store ? enqueue_kernel(batch, first) : enqueue_spans(batch, first);
  if (ok) ok = check(cudaEventRecord(slot.first.get(), first), "recording an event");
  if (ok) ok = check(cudaStreamWaitEvent(second, slot.first.get()), "waiting for a step");
  if (ok) ok = store ? enqueue_spans(batch, second) : enqueue_kernel(batch, second);
  if (ok) ok = check(cudaEventRecord(slot.second.get(), second), "recording an event");
  if (!ok) return ok;
  return turn_ % kBatchesPerMark == 0 ? checkpoints_.mark(second) : Status{};
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
  return checkpoints_.mark(dma_);
}

/// Where the last step of a transfer is: each batch's second waits for its first. The other stream
/// is left alone: an event in that of the kernels may take a turn of the GPU from the engine.
cudaStream_t Way::last_stream(const Running& running) const {
  const bool store = direction_ == copy::Direction::kStore;
  return running.path == Path::kDirect || store ? dma_ : kernel_;
}

/// Behind all of the transfer.
cudaError_t Way::record_end(const Running& running) {
  const cudaEvent_t end = running.end->event();
  const cudaStream_t last = last_stream(running);
  if (!running.status) {  // a batch may lack its second step
    const cudaStream_t other = last == dma_ ? kernel_ : dma_;
    cudaError_t error = cudaEventRecord(end, other);
    if (error == cudaSuccess) error = cudaStreamWaitEvent(last, end);
    if (error != cudaSuccess) return error;
  }
  return cudaEventRecord(end, last);
}

}  // namespace lmcache::gpu
