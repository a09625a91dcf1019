#include "gpu/events.hpp"

#include "gpu/cuda.hpp"
#include "gpu/transfer.hpp"

#include <boost/endian/conversion.hpp>

#include <algorithm>
#include <cstring>
#include <utility>

namespace lmcache::gpu {

Result<Event> make_event(unsigned flags) {
  cudaEvent_t event = nullptr;
  const cudaError_t error = cudaEventCreateWithFlags(&event, flags);
  if (Status made = check(error, "creating an event"); !made) return made.error();
  return Event(event);
}

wire::Bytes ExportedEvent::handle() const {
  wire::Bytes bytes(sizeof handle_);
  std::memcpy(bytes.data(), &handle_, sizeof handle_);
  return bytes;
}

Result<std::shared_ptr<ExportedEvent>> EventPool::next() {
  // Whoever was sent an old one has opened it long ago, or never will.
  for (auto old = issued_.begin(); issued_.size() > kKept && old != issued_.end();)
    old = old->use_count() == 1 ? issued_.erase(old) : old + 1;
  if (!spare_) {
    auto made = make();
    if (!made) return made.error();
    spare_ = std::move(*made);
  }
  issued_.push_back(std::exchange(spare_, nullptr));
  return issued_.back();
}

void EventPool::prepare() {
  if (spare_) return;
  if (auto event = make()) spare_ = std::move(*event);
}

Result<std::shared_ptr<ExportedEvent>> EventPool::make() {
  auto event = make_event(cudaEventDisableTiming | cudaEventInterprocess);
  if (!event) return event.error();
  cudaIpcEventHandle_t handle;
  const cudaError_t error = cudaIpcGetEventHandle(&handle, event->get());
  if (Status exported = check(error, "exporting an event"); !exported) return exported.error();
  return std::make_shared<ExportedEvent>(std::move(*event), handle);
}

Timeline::~Timeline() {
  if (reader_ != nullptr) static_cast<void>(cudaStreamDestroy(reader_));
  if (words_ != nullptr && cudaFree(words_) != cudaSuccess) static_cast<void>(cudaGetLastError());
}

Status Timeline::make() {
  cudaError_t error = cudaMalloc(&words_, kSlots * 8);
  if (error == cudaSuccess) error = cudaMemset(words_, 0, kSlots * 8);
  if (error == cudaSuccess) error = cudaIpcGetMemHandle(&handle_, words_);
  if (error == cudaSuccess) error = cudaStreamCreateWithFlags(&reader_, cudaStreamNonBlocking);
  if (error == cudaSuccess) return {};
  static_cast<void>(cudaGetLastError());
  return cuda_error(Cause::kNoMemory, "timeline semaphores", error);
}

Result<Timeline::Awaited> Timeline::open(wire::ByteView handle, Opened& opened) {
  const auto malformed = [](const char* what) {
    return Error{Cause::kMalformed, std::string("timeline semaphore handle: ") + what};
  };
  if (handle.size() != kHandleBytes || handle[0] != std::byte{1})
    return malformed("not 81 bytes of version 1");
  const auto word = [&](std::size_t at) {
    std::uint64_t value = 0;
    std::memcpy(&value, handle.data() + at, sizeof value);
    return boost::endian::big_to_native(value);
  };
  const std::uint64_t offset = word(65), value = word(73);
  if (value == 0) return Awaited{};
  if (offset % 8 != 0 || offset == 0 || offset >= kSlots * 8) return malformed("no such slot");
  std::array<std::byte, 64> memory;
  std::memcpy(memory.data(), handle.data() + 1, memory.size());
  const std::string name(reinterpret_cast<const char*>(memory.data()), memory.size());
  auto owner = opened.find(name);
  if (owner == opened.end()) {
    if (opened.size() >= kBuffers) return malformed("one buffer too many");
    auto buffer = allocations_.open_ipc(memory);
    if (!buffer) return buffer.error();
    if ((*buffer)->bytes() < kSlots * 8) return malformed("its buffer is too small");
    owner = opened.emplace(name, std::move(*buffer)).first;
  }
  return Awaited{owner->second->base() + offset, value};
}

bool Timeline::reached(const Awaited& awaited) {
  if (awaited.word == nullptr) return true;
  std::uint64_t value = 0;
  if (cudaMemcpyAsync(&value, awaited.word, sizeof value, cudaMemcpyDeviceToHost, reader_) !=
          cudaSuccess ||
      cudaStreamSynchronize(reader_) != cudaSuccess)
    return false;
  return value >= awaited.value;
}

Result<wire::Bytes> Timeline::signal(cudaStream_t stream) {
  auto found = by_stream_.find(stream);
  if (found == by_stream_.end()) {
    Word fresh{by_stream_.size() + 1, 0};
    if (!unused_.empty()) {
      fresh = unused_.back();
      unused_.pop_back();
    }
    if (fresh.slot >= kSlots) return Error{Cause::kCopyFailed, "no timeline semaphore is left"};
    found = by_stream_.emplace(stream, fresh).first;
  }
  Word& word = found->second;
  const auto functions = driver();
  if (!functions) return functions.error();
  const std::uint64_t offset = word.slot * 8;
  const CUresult error =
      (*functions)
          ->stream_write_value64(
              stream, reinterpret_cast<CUdeviceptr>(static_cast<std::byte*>(words_) + offset),
              ++word.value, CU_STREAM_WRITE_VALUE_DEFAULT);
  if (error != CUDA_SUCCESS) return cuda_error(Cause::kCopyFailed, "signalling a semaphore", error);
  wire::Bytes handle(kHandleBytes);
  handle[0] = std::byte{1};
  std::memcpy(handle.data() + 1, &handle_, sizeof handle_);
  const std::uint64_t at = boost::endian::native_to_big(offset);
  const std::uint64_t value = boost::endian::native_to_big(word.value);
  std::memcpy(handle.data() + 65, &at, sizeof at);
  std::memcpy(handle.data() + 73, &value, sizeof value);
  return handle;
}

void Timeline::forget(cudaStream_t stream) {
  const auto found = by_stream_.find(stream);
  if (found == by_stream_.end()) return;
  unused_.push_back(found->second);
  by_stream_.erase(found);
}

bool EngineEvent::over() const {
  if (timeline_ != nullptr) return timeline_->reached(word_);
  return !event_ || cudaEventQuery(event_.get()) == cudaSuccess;
}

Result<EngineEvent> EngineEvents::open(wire::ByteView handle, Timeline::Opened& opened) {
  if (handle.size() == Timeline::kHandleBytes) {
    const auto word = timeline_.open(handle, opened);
    if (!word) return word.error();
    return EngineEvent(timeline_, *word);
  }
  if (handle.size() == sizeof(cudaIpcEventHandle_t)) {
    forget_late();
    const auto found = std::ranges::find_if(expected_, [handle](const Expected& expected) {
      return std::ranges::equal(expected.handle, handle);
    });
    if (found == expected_.end()) return open_ipc(handle);
    EngineEvent event = std::move(found->event);
    expected_.erase(found);
    return event;
  }
  if (names_no_event(handle)) return EngineEvent();
  return Error{Cause::kMalformed,
               "an event handle of " + std::to_string(handle.size()) +
                   " bytes is neither an event (64) nor a timeline semaphore (81)"};
}

Result<EngineEvent> EngineEvents::open_ipc(wire::ByteView handle) const {
  if (isolated_)
    return Error{Cause::kMalformed,
                 "an interprocess event, but the server runs with --isolated-ipc: it takes "
                 "timeline semaphores"};
  cudaIpcEventHandle_t name;
  std::memcpy(&name, handle.data(), sizeof name);
  cudaEvent_t event = nullptr;
  if (Status open = check(cudaIpcOpenEventHandle(&event, name),
                          "the request's event handle cannot be opened (do both processes share "
                          "one IPC namespace?)");
      !open)
    return open.error();
  return EngineEvent(Event(event));
}

bool EngineEvents::expect(wire::ByteView handle) {
  forget_late();
  if (handle.size() != sizeof(cudaIpcEventHandle_t) || expected_.size() >= kExpectedMost)
    return false;
  auto event = open_ipc(handle);
  if (!event) return false;  // its transfer will tell of it
  const bool over = event->over();
  expected_.push_back(
      {{handle.begin(), handle.end()}, std::move(*event), Clock::now() + kExpectedFor});
  return over;
}

void EngineEvents::forget_late() {
  const auto now = Clock::now();
  while (!expected_.empty() && expected_.front().until < now) expected_.pop_front();
}

}  // namespace lmcache::gpu
