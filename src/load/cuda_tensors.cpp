// Tensors on a GPU, shared by CUDA IPC, and interprocess events, as an engine on that GPU has them.
#include "gpu/cuda.hpp"
#include "gpu/events.hpp"
#include "load/descriptors.hpp"
#include "load/page_batch.hpp"
#include "load/tensor_memory.hpp"

#include <cstring>
#include <deque>
#include <stdexcept>
#include <string>
#include <thread>

namespace lmcache::load {
namespace {

constexpr std::size_t kStagingBytes = 4u << 20;
// CUDA takes small allocations out of such blocks and then shares the whole block.
constexpr std::uint64_t kSharedUnit = 2u << 20;
// A server may look at a request's event after its copy has ended, so each lives this much longer.
constexpr std::size_t kKeptEvents = 64;

// Cures.
constexpr const char* kLessMemory =
    "; nvidia-smi tells who uses the GPU's memory; ask for less with --tokens or --concurrency";
constexpr const char* kOneNamespace =
    "; this command and the server must run on one machine and share one IPC namespace, see "
    "lmcache "
    "doctor";
constexpr const char* kDriverLog = "; `dmesg | grep -i nvrm` says what the driver has met";

void check(cudaError_t error, const char* what, const char* cure) {
  if (error == cudaSuccess) return;
  static_cast<void>(cudaGetLastError());  // so that it is not met again
  throw std::runtime_error(gpu::cuda_error(Cause::kCopyFailed, what, error).text + cure);
}

struct DeviceFree {
  void operator()(std::byte* memory) const noexcept { static_cast<void>(cudaFree(memory)); }
};
struct HostFree {
  void operator()(std::byte* memory) const noexcept { static_cast<void>(cudaFreeHost(memory)); }
};
struct StreamDestroy {
  void operator()(cudaStream_t stream) const noexcept {
    static_cast<void>(cudaStreamDestroy(stream));
  }
};

struct Segment {
  std::unique_ptr<std::byte, DeviceFree> data;
  std::uint64_t bytes;
  cudaIpcMemHandle_t handle;
};

/// Device 0 throughout, which is every thread's when it starts. What is done here has ended when a
/// call returns.
class CudaTensors final : public TensorMemory {
 public:
  explicit CudaTensors(const std::vector<std::uint64_t>& segment_bytes) {
    cudaDeviceProp properties;
    check(cudaGetDeviceProperties(&properties, 0), "the GPU's properties", kDriverLog);
    uuid_ = gpu::uuid_text(properties.uuid);
    void* made = nullptr;
    check(cudaMallocHost(&made, kStagingBytes), "pinned memory for the GPU", kLessMemory);
    staging_.reset(static_cast<std::byte*>(made));
    cudaStream_t stream = nullptr;
    check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "a stream", kDriverLog);
    stream_.reset(stream);
    for (const std::uint64_t bytes : segment_bytes) add_segment(bytes);
    wipe();
  }

  void write(std::span<const Page> pages, const Make& make) override {
    each_batch(pages, [&](std::size_t begin, std::size_t end) {
      std::byte* room = staging_.get();
      for (std::size_t i = begin; i < end; room += pages[i++].bytes) {
        make(i, {room, pages[i].bytes});
        copy(at(pages[i]), room, pages[i].bytes, cudaMemcpyHostToDevice);
      }
      finish();
    });
  }

  void read(std::span<const Page> pages, const See& see) override {
    each_batch(pages, [&](std::size_t begin, std::size_t end) {
      std::byte* room = staging_.get();
      for (std::size_t i = begin; i < end; room += pages[i++].bytes)
        copy(room, at(pages[i]), pages[i].bytes, cudaMemcpyDeviceToHost);
      finish();
      room = staging_.get();
      for (std::size_t i = begin; i < end; room += pages[i++].bytes) see(i, {room, pages[i].bytes});
    });
  }

  void wipe() override {
    for (const Segment& segment : segments_)
      check(cudaMemsetAsync(segment.data.get(), 0, segment.bytes, stream_.get()),
            "clearing GPU memory", kDriverLog);
    finish();
  }

  wire::Bytes descriptor(std::size_t segment, const TensorDesc& tensor) const override {
    const cudaIpcMemHandle_t& handle = segments_[segment].handle;
    static_assert(sizeof handle == 64);
    return cuda_descriptor(std::as_bytes(std::span(handle.reserved)), segments_[segment].bytes,
                           uuid_, tensor);
  }

  void registered() override {}

  wire::Bytes event() override {
    auto made = gpu::make_event(cudaEventDisableTiming | cudaEventInterprocess);
    if (!made) throw std::runtime_error(made.error().text + kDriverLog);
    events_.push_back(std::move(*made));
    if (events_.size() > kKeptEvents) events_.pop_front();
    const cudaEvent_t event = events_.back().get();
    check(cudaEventRecord(event, stream_.get()), "recording an event", kDriverLog);
    cudaIpcEventHandle_t handle;
    check(cudaIpcGetEventHandle(&handle, event), "exporting an event", kDriverLog);
    wire::Bytes bytes(sizeof handle);
    std::memcpy(bytes.data(), &handle, sizeof handle);
    return bytes;
  }

  void wait(wire::ByteView event, const std::function<void()>& go_on) override {
    cudaIpcEventHandle_t handle;
    if (event.size() != sizeof handle)
      throw std::runtime_error("a transfer was answered with an event of " +
                               std::to_string(event.size()) + " bytes, not " +
                               std::to_string(sizeof handle) +
                               "; --device cuda cannot measure a server with --isolated-ipc");
    std::memcpy(&handle, event.data(), sizeof handle);
    cudaEvent_t opened = nullptr;
    check(cudaIpcOpenEventHandle(&opened, handle), "the event of a reply cannot be opened",
          kOneNamespace);
    const gpu::Event ended(opened);
    // Asked again and again: a wait inside CUDA could not be given up when the server hangs.
    cudaError_t state = cudaEventQuery(opened);
    for (; state == cudaErrorNotReady; state = cudaEventQuery(opened)) {
      go_on();
      std::this_thread::yield();
    }
    check(state, "waiting for the event of a reply", kDriverLog);
  }

 private:
  void add_segment(std::uint64_t bytes) {
    Segment segment{nullptr, bytes, {}};
    void* made = nullptr;
    check(cudaMalloc(&made, (bytes + kSharedUnit - 1) / kSharedUnit * kSharedUnit),
          ("cannot take " + std::to_string(bytes >> 20) + " MiB of GPU memory").c_str(),
          kLessMemory);
    segment.data.reset(static_cast<std::byte*>(made));
    check(cudaIpcGetMemHandle(&segment.handle, made), "GPU memory cannot be shared by CUDA IPC",
          kOneNamespace);
    segments_.push_back(std::move(segment));
  }

  [[nodiscard]] std::byte* at(const Page& page) const {
    return segments_[page.segment].data.get() + page.offset;
  }

  /// Calls `visit` with ranges of pages that fit the staging buffer.
  template <class Visit>
  static void each_batch(std::span<const Page> pages, Visit visit) {
    for (std::size_t begin = 0, end = 0; begin < pages.size(); begin = end) {
      end = batch_end(pages, begin, kStagingBytes);
      if (begin == end) throw std::logic_error("a page does not fit the staging buffer");
      visit(begin, end);
    }
  }

  void copy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
    check(cudaMemcpyAsync(to, from, bytes, kind, stream_.get()), "copying between GPU and CPU",
          kDriverLog);
  }

  void finish() { check(cudaStreamSynchronize(stream_.get()), "waiting for the GPU", kDriverLog); }

  std::string uuid_;
  std::unique_ptr<std::byte, HostFree> staging_;
  std::vector<Segment> segments_;
  std::deque<gpu::Event> events_;
  std::unique_ptr<CUstream_st, StreamDestroy> stream_;
};

}  // namespace

MakeTensors cuda_tensors() {
  int count = 0;
  cudaError_t error = cudaGetDeviceCount(&count);
  if (error == cudaSuccess && count == 0) error = cudaErrorNoDevice;
  check(error, "no GPU can be used",
        "; it takes a driver of version 580 or later and a GPU that CUDA_VISIBLE_DEVICES leaves, "
        "see lmcache doctor");
  return [](const std::vector<std::uint64_t>& segment_bytes) -> std::unique_ptr<TensorMemory> {
    return std::make_unique<CudaTensors>(segment_bytes);
  };
}

}  // namespace lmcache::load
