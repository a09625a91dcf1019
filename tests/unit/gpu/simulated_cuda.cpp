#include "unit/gpu/simulated_cuda.hpp"

#include "page_copy.cuh"

#include <cuda.h>
#include <cuda_runtime_api.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string_view>
#include <thread>

namespace {

struct Mark {  ///< an event
  std::uint64_t recorded = 0, reached = 0;
};
using MarkPtr = std::shared_ptr<Mark>;

using Operation = std::function<bool()>;  ///< false: it has to wait
struct Stream {
  std::deque<Operation> operations;
};

/// What a memory handle and an event handle hold.
constexpr std::uint64_t kMagic = 0x73696d756c617465;
struct Handle {
  std::uint64_t magic = kMagic;
  std::uint64_t id = 0;
  std::uint64_t bytes = 0;  ///< another allocation at the same address has another handle
};

struct Simulation {
  std::mutex mutex;  // guards everything
  int gpus = 1, open_memories = 0, live_events = 0, resets = 0, empty_kernels = 0;
  bool paused = false, deadlocked = false, fail_copy = false, spoilt = false;
  const std::byte* unpinnable = nullptr;
  std::chrono::milliseconds rectangle_takes{};
  std::size_t largest_copy = 0, largest_allocation = SIZE_MAX;
  std::set<Stream*> streams;
  std::map<std::uint64_t, MarkPtr> exported;
  std::map<const std::byte*, std::size_t> memories, pinned;
  std::uint64_t next_id = 0;

  [[nodiscard]] cudaError_t state() const { return spoilt ? cudaErrorIllegalAddress : cudaSuccess; }

  /// True if something is left.
  bool run() {
    bool moved = !paused;
    while (std::exchange(moved, false))
      for (Stream* stream : streams)
        while (!stream->operations.empty() && stream->operations.front()()) {
          stream->operations.pop_front();
          moved = true;
        }
    for (const Stream* stream : streams)
      if (!stream->operations.empty()) return true;
    return false;
  }

  /// As calls do that wait for the whole GPU, or for one stream.
  void wait(std::unique_lock<std::mutex>& lock, const Stream* stream = nullptr) {
    while (run() && (stream == nullptr || !stream->operations.empty())) {
      if (!paused) {
        deadlocked = true;
        return;
      }
      lock.unlock();
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      lock.lock();
    }
  }

  [[nodiscard]] bool is_pinned(const std::byte* at) const {
    const auto next = pinned.upper_bound(at);
    return next != pinned.begin() && at < std::prev(next)->first + std::prev(next)->second;
  }
};

Simulation& gpu() {
  static Simulation simulation;
  return simulation;
}

Stream* stream_of(cudaStream_t stream) {
  return reinterpret_cast<Stream*>(stream);
}
MarkPtr& mark_of(cudaEvent_t event) {
  return *reinterpret_cast<MarkPtr*>(event);
}
cudaEvent_t event_of(MarkPtr mark) {
  ++gpu().live_events;
  return reinterpret_cast<cudaEvent_t>(new MarkPtr(std::move(mark)));
}

cudaError_t push(cudaStream_t stream, Operation operation) {
  const std::lock_guard lock(gpu().mutex);
  if (gpu().spoilt) return gpu().state();
  stream_of(stream)->operations.push_back(std::move(operation));
  return cudaSuccess;
}

/// How often an event was recorded, `more` included.
std::pair<MarkPtr, std::uint64_t> recorded(cudaEvent_t event, std::uint64_t more) {
  const std::lock_guard lock(gpu().mutex);
  const MarkPtr& mark = mark_of(event);
  return {mark, mark->recorded += more};
}

std::chrono::milliseconds rectangle_takes() {
  const std::lock_guard lock(gpu().mutex);
  return gpu().rectangle_takes;
}

template <class To, class From>
void put(To& to, const From& from) {
  static_assert(sizeof from <= sizeof to);
  std::memcpy(&to, &from, sizeof from);
}

CUresult CUDAAPI address_range(CUdeviceptr* base, std::size_t* size, CUdeviceptr address) {
  const std::lock_guard lock(gpu().mutex);
  const auto* memory = reinterpret_cast<const std::byte*>(address);
  *base = address;
  *size = gpu().memories.at(memory);
  return CUDA_SUCCESS;
}

CUresult CUDAAPI wait_value(CUstream stream, CUdeviceptr address, cuuint64_t value, unsigned) {
  auto* word = reinterpret_cast<std::uint64_t*>(address);
  return push(stream,
              [word, value] {
                return std::atomic_ref(*word).load(std::memory_order_acquire) >= value;
              }) == cudaSuccess
             ? CUDA_SUCCESS
             : CUDA_ERROR_ILLEGAL_ADDRESS;
}

CUresult CUDAAPI write_value(CUstream stream, CUdeviceptr address, cuuint64_t value, unsigned) {
  auto* word = reinterpret_cast<std::uint64_t*>(address);
  return push(stream,
              [word, value] {
                std::atomic_ref(*word).store(value, std::memory_order_release);
                return true;
              }) == cudaSuccess
             ? CUDA_SUCCESS
             : CUDA_ERROR_ILLEGAL_ADDRESS;
}

void copy_page(const lmcache::kernels::PageGroup& group, std::byte* page, std::byte* buffer,
               bool pack) {
  const auto move = [pack](std::byte* in_page, std::byte* in_buffer, std::size_t bytes) {
    std::memcpy(pack ? in_buffer : in_page, pack ? in_page : in_buffer, bytes);
  };
  if (group.loops == 0) move(page, buffer, group.page_bytes);
  for (std::uint32_t l = 0; l < group.loops; ++l) {
    const lmcache::kernels::PageLoop& loop = group.loop[l];
    for (std::uint32_t outer = 0; outer < loop.n0; ++outer)
      for (std::uint32_t inner = 0; inner < loop.n1; ++inner)
        move(page + loop.page + outer * loop.page0 + inner * loop.page1,
             buffer + loop.buffer + outer * loop.buffer0 + inner * loop.buffer1, loop.run);
  }
}

void copy_pages(const lmcache::kernels::PageBatch& batch, bool pack) {
  for (std::uint32_t s = 0; s < batch.sections; ++s) {
    const lmcache::kernels::PageSection& section = batch.section[s];
    const lmcache::kernels::PageGroup& group = batch.groups[section.group];
    for (std::uint32_t i = 0; i < section.origins * section.ids; ++i) {
      const std::uint32_t id = batch.ids[section.first_id + i % section.ids];
      if (id == lmcache::kernels::kNoBlock) continue;
      copy_page(
          group,
          reinterpret_cast<std::byte*>(group.origins[section.first_origin + i / section.ids]) +
              id * group.block_stride,
          batch.buffer + section.buffer + std::uint64_t{i} * group.page_bytes, pack);
    }
  }
}

cudaError_t copy_rows(void* to, std::size_t to_pitch, const void* from, std::size_t from_pitch,
                      std::size_t width, std::size_t rows, cudaMemcpyKind kind,
                      cudaStream_t stream) {
  const cudaError_t error = push(stream, [=] {
    for (std::size_t row = 0; row < rows; ++row)
      std::memcpy(static_cast<std::byte*>(to) + row * to_pitch,
                  static_cast<const std::byte*>(from) + row * from_pitch, width);
    return true;
  });
  std::unique_lock lock(gpu().mutex);
  const void* host = kind == cudaMemcpyDeviceToHost ? to : from;
  if (!gpu().is_pinned(static_cast<const std::byte*>(host))) gpu().wait(lock, stream_of(stream));
  return error;
}

}  // namespace

namespace lmcache::kernels {

cudaError_t load_page_copy() {
  return cudaSuccess;
}
cudaError_t launch_nothing(cudaStream_t stream) {
  {
    const std::lock_guard lock(gpu().mutex);
    ++gpu().empty_kernels;
  }
  return push(stream, [] { return true; });
}
cudaError_t launch_page_copy(const PageBatch& batch, PageDirection direction, unsigned,
                             cudaStream_t stream) {
  return push(stream, [batch, direction] {
    copy_pages(batch, direction == PageDirection::kPack);
    return true;
  });
}

}  // namespace lmcache::kernels

// ------------------------------------------------------------------------------- the runtime

cudaError_t cudaGetLastError() {
  const std::lock_guard lock(gpu().mutex);
  return gpu().state();
}
const char* cudaGetErrorName(cudaError_t error) {
  return error == cudaErrorIllegalAddress ? "cudaErrorIllegalAddress" : "cudaError";
}
const char* cudaGetErrorString(cudaError_t error) {
  return error == cudaErrorIllegalAddress ? "an illegal memory access" : "simulated";
}

cudaError_t cudaGetDeviceCount(int* count) {
  const std::lock_guard lock(gpu().mutex);
  *count = gpu().gpus;
  return cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int ordinal) {
  *properties = {};
  properties->uuid.bytes[15] = static_cast<char>(ordinal + 1);
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int) {
  return cudaSuccess;
}
cudaError_t cudaDeviceReset() {
  const std::lock_guard lock(gpu().mutex);
  ++gpu().resets;
  gpu().spoilt = false;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
  *least = *greatest = 0;
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned, int) {
  const std::lock_guard lock(gpu().mutex);
  if (gpu().spoilt) return gpu().state();
  auto* made = new Stream;
  gpu().streams.insert(made);
  *stream = reinterpret_cast<cudaStream_t>(made);
  return cudaSuccess;
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  return cudaStreamCreateWithPriority(stream, flags, 0);
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  const std::lock_guard lock(gpu().mutex);
  gpu().streams.erase(stream_of(stream));
  delete stream_of(stream);
  return gpu().state();
}
cudaError_t cudaStreamQuery(cudaStream_t) {
  const std::lock_guard lock(gpu().mutex);
  return gpu().state();
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  std::unique_lock lock(gpu().mutex);
  gpu().wait(lock, stream_of(stream));
  return gpu().state();
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  return push(stream, [awaited = recorded(event, 0)] {
    const auto& [mark, number] = awaited;
    return mark->reached >= number;
  });
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  const std::lock_guard lock(gpu().mutex);
  if (gpu().spoilt) return gpu().state();
  *event = event_of(std::make_shared<Mark>());
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  const std::lock_guard lock(gpu().mutex);
  delete &mark_of(event);
  --gpu().live_events;
  return gpu().state();
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  return push(stream, [recording = recorded(event, 1)] {
    const auto& [mark, number] = recording;
    mark->reached = number;
    return true;
  });
}
cudaError_t cudaEventQuery(cudaEvent_t event) {
  const std::lock_guard lock(gpu().mutex);
  if (gpu().spoilt) return gpu().state();
  gpu().run();
  const Mark& mark = *mark_of(event);
  return mark.reached >= mark.recorded ? cudaSuccess : cudaErrorNotReady;
}
cudaError_t cudaIpcGetEventHandle(cudaIpcEventHandle_t* handle, cudaEvent_t event) {
  const std::lock_guard lock(gpu().mutex);
  const Handle made{kMagic, ++gpu().next_id, 0};
  gpu().exported[made.id] = mark_of(event);
  *handle = {};
  put(*handle, made);
  return gpu().state();
}
cudaError_t cudaIpcOpenEventHandle(cudaEvent_t* event, cudaIpcEventHandle_t handle) {
  const std::lock_guard lock(gpu().mutex);
  if (gpu().spoilt) return gpu().state();
  Handle named;
  std::memcpy(static_cast<void*>(&named), &handle, sizeof named);
  const auto found = gpu().exported.find(named.id);
  if (named.magic != kMagic || found == gpu().exported.end()) return cudaErrorInvalidValue;
  *event = event_of(found->second);
  return cudaSuccess;
}

cudaError_t cudaMalloc(void** memory, std::size_t bytes) {
  const std::lock_guard lock(gpu().mutex);
  if (gpu().spoilt) return gpu().state();
  if (bytes > gpu().largest_allocation) return cudaErrorMemoryAllocation;
  *memory = std::malloc(bytes);
  return cudaSuccess;
}
cudaError_t cudaFree(void* memory) {
  std::unique_lock lock(gpu().mutex);
  gpu().wait(lock);
  std::free(memory);
  return gpu().state();
}
cudaError_t cudaHostAlloc(void** memory, std::size_t bytes, unsigned) {
  return cudaMalloc(memory, bytes);
}
cudaError_t cudaFreeHost(void* memory) {
  return cudaFree(memory);
}
cudaError_t cudaHostRegister(void* memory, std::size_t bytes, unsigned) {
  const std::lock_guard lock(gpu().mutex);
  const auto* first = static_cast<const std::byte*>(memory);
  if (gpu().unpinnable >= first && gpu().unpinnable < first + bytes)
    return cudaErrorMemoryAllocation;
  gpu().pinned[first] = bytes;
  return gpu().state();
}
cudaError_t cudaHostUnregister(void* memory) {
  const std::lock_guard lock(gpu().mutex);
  gpu().pinned.erase(static_cast<const std::byte*>(memory));
  return gpu().state();
}
cudaError_t cudaIpcGetMemHandle(cudaIpcMemHandle_t* handle, void*) {
  *handle = {};
  return cudaSuccess;
}
cudaError_t cudaIpcOpenMemHandle(void** memory, cudaIpcMemHandle_t handle, unsigned) {
  const std::lock_guard lock(gpu().mutex);
  if (gpu().spoilt) return gpu().state();
  Handle named;
  std::memcpy(static_cast<void*>(&named), &handle, sizeof named);
  auto* base = reinterpret_cast<std::byte*>(named.id);
  if (named.magic != kMagic || !gpu().memories.contains(base)) return cudaErrorInvalidValue;
  ++gpu().open_memories;
  *memory = base;
  return cudaSuccess;
}
cudaError_t cudaIpcCloseMemHandle(void*) {
  std::unique_lock lock(gpu().mutex);
  gpu().wait(lock);
  --gpu().open_memories;
  return gpu().state();
}

cudaError_t cudaMemset(void* memory, int value, std::size_t bytes) {
  std::memset(memory, value, bytes);
  return cudaSuccess;
}
cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind) {
  const std::lock_guard lock(gpu().mutex);
  if (std::exchange(gpu().fail_copy, false)) return cudaErrorInvalidValue;
  std::memcpy(to, from, bytes);
  return gpu().state();
}
cudaError_t cudaMemcpy2DAsync(void* to, std::size_t to_pitch, const void* from,
                              std::size_t from_pitch, std::size_t width, std::size_t rows,
                              cudaMemcpyKind kind, cudaStream_t stream) {
  const cudaError_t error = copy_rows(to, to_pitch, from, from_pitch, width, rows, kind, stream);
  const auto takes = rectangle_takes();
  if (takes.count() == 0) return error;
  std::this_thread::sleep_for(takes);  // in which the GPU goes on
  const std::lock_guard lock(gpu().mutex);
  gpu().run();
  return error;
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  {
    const std::lock_guard lock(gpu().mutex);
    gpu().largest_copy = std::max(gpu().largest_copy, bytes);
  }
  return copy_rows(to, bytes, from, bytes, bytes, 1, kind, stream);
}

cudaError_t cudaGetDriverEntryPointByVersion(const char* name, void** function, unsigned,
                                             unsigned long long,
                                             cudaDriverEntryPointQueryResult* result) {
  const std::string_view wanted(name);
  *function = nullptr;
  if (wanted == "cuMemGetAddressRange") *function = reinterpret_cast<void*>(&address_range);
  if (wanted == "cuStreamWaitValue64") *function = reinterpret_cast<void*>(&wait_value);
  if (wanted == "cuStreamWriteValue64") *function = reinterpret_cast<void*>(&write_value);
  if (result != nullptr) *result = cudaDriverEntryPointSuccess;
  return cudaSuccess;
}

// ------------------------------------------------------------------------------- for the tests

namespace lmcache::test::simulated {

void reset(int gpus) {
  Simulation& now = gpu();
  const std::lock_guard lock(now.mutex);
  now.gpus = gpus;
  now.open_memories = now.live_events = now.resets = now.empty_kernels = 0;
  now.paused = now.deadlocked = now.fail_copy = now.spoilt = false;
  now.unpinnable = nullptr;
  now.rectangle_takes = {};
  now.largest_copy = 0;
  now.largest_allocation = SIZE_MAX;
}

std::string uuid(int ordinal) {
  return "00000000-0000-0000-0000-00000000000" + std::to_string(ordinal + 1);
}

std::array<std::byte, 64> exported(std::span<const std::byte> memory) {
  const std::lock_guard lock(gpu().mutex);
  gpu().memories[memory.data()] = memory.size();
  std::array<std::byte, 64> handle{};
  put(handle, Handle{kMagic, reinterpret_cast<std::uint64_t>(memory.data()), memory.size()});
  return handle;
}

struct EngineEvent::State {
  MarkPtr mark = std::make_shared<Mark>();
  std::uint64_t id = 0;
};

EngineEvent::EngineEvent() : state_(std::make_shared<State>()) {
  const std::lock_guard lock(gpu().mutex);
  state_->mark->recorded = 1;
  state_->id = ++gpu().next_id;
  gpu().exported[state_->id] = state_->mark;
}

wire::Bytes EngineEvent::handle() const {
  std::array<std::byte, 64> handle{};
  put(handle, Handle{kMagic, state_->id, 0});
  return {handle.begin(), handle.end()};
}

void EngineEvent::finish() {
  const std::lock_guard lock(gpu().mutex);
  state_->mark->reached = 1;
}

void pause(bool paused) {
  const std::lock_guard lock(gpu().mutex);
  gpu().paused = paused;
}
void refuse_to_pin(const std::byte* memory) {
  const std::lock_guard lock(gpu().mutex);
  gpu().unpinnable = memory;
}
void fail_next_copy() {
  const std::lock_guard lock(gpu().mutex);
  gpu().fail_copy = true;
}
void slow_rectangles(std::chrono::milliseconds time) {
  const std::lock_guard lock(gpu().mutex);
  gpu().rectangle_takes = time;
}
void limit_allocations(std::size_t bytes) {
  const std::lock_guard lock(gpu().mutex);
  gpu().largest_allocation = bytes;
}
void spoil() {
  const std::lock_guard lock(gpu().mutex);
  gpu().spoilt = true;
}
bool deadlocked() {
  const std::lock_guard lock(gpu().mutex);
  return gpu().deadlocked;
}
int empty_kernels() {
  const std::lock_guard lock(gpu().mutex);
  return gpu().empty_kernels;
}
int live_events() {
  const std::lock_guard lock(gpu().mutex);
  return gpu().live_events;
}
int open_memories() {
  const std::lock_guard lock(gpu().mutex);
  return gpu().open_memories;
}
std::size_t largest_copy() {
  const std::lock_guard lock(gpu().mutex);
  return std::exchange(gpu().largest_copy, 0);
}
int resets() {
  const std::lock_guard lock(gpu().mutex);
  return gpu().resets;
}

}  // namespace lmcache::test::simulated
