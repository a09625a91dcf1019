#include "gpu/engine_process.hpp"

#include "gpu/cuda.hpp"

#include <cuda.h>
#include <cuda_runtime.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <thread>
#include <type_traits>

namespace lmcache::test {
namespace {

enum class Op : std::uint32_t {
  kUuid,
  kAllocate,
  kAllocateFabric,
  kWaitTimeline,
  kWrite,
  kRead,
  kEvent,
  kWait,
  kFreeMemory
};

struct Command {
  Op op;
  std::uint32_t memory;
  std::uint64_t value;
};

void send(int fd, const void* data, std::size_t bytes) {
  const char* at = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t n = ::write(fd, at, bytes);
    if (n <= 0) throw std::runtime_error("the other process has gone");
    at += n;
    bytes -= static_cast<std::size_t>(n);
  }
}

bool receive(int fd, void* data, std::size_t bytes) {
  char* at = static_cast<char*>(data);
  while (bytes > 0) {
    const ssize_t n = ::read(fd, at, bytes);
    if (n <= 0) return false;
    at += n;
    bytes -= static_cast<std::size_t>(n);
  }
  return true;
}

void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  std::fprintf(stderr, "engine process: %s: %s\n", what, cudaGetErrorString(error));
  std::exit(1);
}

/// Device memory with a fabric handle.
struct FabricMemory {
  void* address = nullptr;  ///< nullptr: there is none on this machine
  std::uint64_t bytes = 0;  ///< rounded up to what can be mapped
  CUmemFabricHandle handle{};
};

FabricMemory allocate_fabric_memory(int device, std::uint64_t bytes) {
  const auto look_up = [](const char* name, auto& function) {
    void* found = nullptr;
    cudaDriverEntryPointQueryResult result = cudaDriverEntryPointSymbolNotFound;
    check(cudaGetDriverEntryPointByVersion(name, &found, 12030, cudaEnableDefault, &result), name);
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(found);
  };
  decltype(&cuMemGetAllocationGranularity) granularity = nullptr;
  decltype(&cuMemCreate) create = nullptr;
  decltype(&cuMemExportToShareableHandle) export_handle = nullptr;
  look_up("cuMemGetAllocationGranularity", granularity);
  look_up("cuMemCreate", create);
  look_up("cuMemExportToShareableHandle", export_handle);
  const gpu::DriverFunctions& driver = **gpu::driver();

  CUmemAllocationProp properties{};
  properties.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  properties.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
  properties.location.id = device;
  properties.requestedHandleTypes = CU_MEM_HANDLE_TYPE_FABRIC;
  std::size_t unit = 0;
  if (granularity(&unit, &properties, CU_MEM_ALLOC_GRANULARITY_MINIMUM) != CUDA_SUCCESS) return {};
  FabricMemory made;
  made.bytes = (bytes + unit - 1) / unit * unit;
  CUmemGenericAllocationHandle memory = 0;
  CUdeviceptr address = 0;
  CUmemAccessDesc access{};
  access.location = properties.location;
  access.flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
  if (create(&memory, made.bytes, &properties, 0) != CUDA_SUCCESS ||
      export_handle(&made.handle, memory, CU_MEM_HANDLE_TYPE_FABRIC, 0) != CUDA_SUCCESS ||
      driver.mem_reserve(&address, made.bytes, 0, 0, 0) != CUDA_SUCCESS ||
      driver.mem_map(address, made.bytes, 0, memory, 0) != CUDA_SUCCESS ||
      driver.mem_set_access(address, made.bytes, &access, 1) != CUDA_SUCCESS)
    return {};
  made.address = reinterpret_cast<void*>(address);
  return made;
}

/// As PROTOCOL.md has it: version, buffer, offset and value, these big-endian.
bool timeline_reached(const std::array<unsigned char, 81>& semaphore) {
  const auto number = [&](std::size_t at) {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < 8; ++i) value = value << 8 | semaphore[at + i];
    return value;
  };
  cudaIpcMemHandle_t handle;
  std::memcpy(&handle, &semaphore[1], sizeof handle);
  void* buffer = nullptr;
  check(cudaIpcOpenMemHandle(&buffer, handle, cudaIpcMemLazyEnablePeerAccess), "opening words");
  bool reached = semaphore[0] == 1 && number(65) > 0 && number(65) < 4096 * 8 && number(73) > 0;
  for (int i = 0; i < 2000 && reached; ++i) {
    std::uint64_t word = 0;
    check(cudaMemcpy(&word, static_cast<char*>(buffer) + number(65), 8, cudaMemcpyDeviceToHost),
          "reading a word");
    if (word >= number(73)) break;
    reached = i < 1999;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  check(cudaIpcCloseMemHandle(buffer), "closing words");
  return reached;
}

std::string uuid_text(const cudaUUID_t& uuid) {
  std::string text;
  for (int i = 0; i < 16; ++i) {
    char byte[4];
    std::snprintf(byte, sizeof byte, "%02x", static_cast<unsigned char>(uuid.bytes[i]));
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += byte;
  }
  return text;
}

}  // namespace

int run_engine(int device) {
  check(cudaSetDevice(device), "choosing a GPU");
  const int in = STDIN_FILENO, out = STDOUT_FILENO;
  std::vector<std::pair<void*, std::size_t>> memories;
  cudaStream_t stream = nullptr;
  check(cudaStreamCreate(&stream), "stream");
  Command command;
  while (receive(in, &command, sizeof command)) {
    switch (command.op) {
      case Op::kUuid: {
        cudaDeviceProp properties;
        check(cudaGetDeviceProperties(&properties, device), "properties");
        send(out, uuid_text(properties.uuid).data(), 36);
        break;
      }
      case Op::kAllocate: {
        void* memory = nullptr;
        check(cudaMalloc(&memory, command.value), "allocating");
        check(cudaMemset(memory, 0, command.value), "clearing");
        memories.emplace_back(memory, command.value);
        cudaIpcMemHandle_t handle;
        check(cudaIpcGetMemHandle(&handle, memory), "exporting memory");
        send(out, &handle, sizeof handle);
        break;
      }
      case Op::kAllocateFabric: {
        const FabricMemory made = allocate_fabric_memory(device, command.value);
        if (made.address != nullptr) {
          check(cudaMemset(made.address, 0, made.bytes), "clearing");
          memories.emplace_back(made.address, command.value);
        }
        const std::uint64_t bytes = made.address != nullptr ? made.bytes : 0;
        send(out, &bytes, sizeof bytes);
        send(out, &made.handle, sizeof made.handle);
        break;
      }
      case Op::kWrite: {
        const auto [memory, bytes] = memories[command.memory];
        std::vector<std::byte> data(bytes);
        if (!receive(in, data.data(), bytes)) return 1;
        check(cudaMemcpy(memory, data.data(), bytes, cudaMemcpyHostToDevice), "writing");
        send(out, "k", 1);
        break;
      }
      case Op::kRead: {
        const auto [memory, bytes] = memories[command.memory];
        std::vector<std::byte> data(bytes);
        check(cudaDeviceSynchronize(), "synchronising");
        check(cudaMemcpy(data.data(), memory, bytes, cudaMemcpyDeviceToHost), "reading");
        send(out, data.data(), bytes);
        break;
      }
      case Op::kEvent: {
        cudaEvent_t event = nullptr;
        check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming | cudaEventInterprocess),
              "event");
        const auto sleep = [](void* ms) {
          std::this_thread::sleep_for(
              std::chrono::milliseconds(reinterpret_cast<std::uintptr_t>(ms)));
        };
        if (command.value > 0)
          check(cudaLaunchHostFunc(stream, sleep, reinterpret_cast<void*>(command.value)), "delay");
        check(cudaEventRecord(event, stream), "recording");
        cudaIpcEventHandle_t handle;
        check(cudaIpcGetEventHandle(&handle, event), "exporting an event");
        send(out, &handle, sizeof handle);
        break;
      }
      case Op::kWait: {
        cudaIpcEventHandle_t handle;
        if (!receive(in, &handle, sizeof handle)) return 1;
        cudaEvent_t event = nullptr;
        check(cudaIpcOpenEventHandle(&event, handle), "opening an event");
        check(cudaEventSynchronize(event), "waiting");
        check(cudaEventDestroy(event), "closing an event");
        send(out, "k", 1);
        break;
      }
      case Op::kWaitTimeline: {
        std::array<unsigned char, 81> semaphore;
        if (!receive(in, semaphore.data(), semaphore.size())) return 1;
        const char reached = timeline_reached(semaphore) ? 'y' : 'n';
        send(out, &reached, 1);
        break;
      }
      case Op::kFreeMemory: {
        std::size_t free = 0, total = 0;
        check(cudaMemGetInfo(&free, &total), "free memory");
        send(out, &free, sizeof free);
        break;
      }
    }
  }
  return 0;
}

EngineProcess::EngineProcess(int device) {
  const std::string ordinal = std::to_string(device);
  int down[2], up[2];
  if (::pipe2(down, O_CLOEXEC) != 0 || ::pipe2(up, O_CLOEXEC) != 0)
    throw std::runtime_error("pipe");
  pid_ = ::fork();
  if (pid_ == 0) {
    ::dup2(down[0], STDIN_FILENO);
    ::dup2(up[1], STDOUT_FILENO);
    ::execl("/proc/self/exe", "gpu_tests", "--engine", ordinal.c_str(),
            static_cast<char*>(nullptr));
    ::_exit(127);
  }
  ::close(down[0]);
  ::close(up[1]);
  to_ = down[1];
  from_ = up[0];
  const Command command{Op::kUuid, 0, 0};
  send(to_, &command, sizeof command);
  uuid_.resize(36);
  if (!receive(from_, uuid_.data(), 36)) throw std::runtime_error("the engine did not start");
}

EngineProcess::~EngineProcess() {
  ::close(to_);
  ::close(from_);
  if (pid_ > 0) ::waitpid(pid_, nullptr, 0);
}

void EngineProcess::kill() {
  ::kill(pid_, SIGKILL);
  ::waitpid(std::exchange(pid_, -1), nullptr, 0);
}

std::uint32_t EngineProcess::allocate(std::uint64_t bytes) {
  const Command command{Op::kAllocate, 0, bytes};
  send(to_, &command, sizeof command);
  Memory memory;
  memory.bytes = bytes;
  if (!receive(from_, memory.handle.data(), memory.handle.size()))
    throw std::runtime_error("allocate");
  memories_.push_back(memory);
  return static_cast<std::uint32_t>(memories_.size() - 1);
}

std::optional<std::uint32_t> EngineProcess::allocate_fabric(std::uint64_t bytes) {
  const Command command{Op::kAllocateFabric, 0, bytes};
  send(to_, &command, sizeof command);
  Memory memory;
  memory.bytes = bytes;
  if (!receive(from_, &memory.fabric_bytes, sizeof memory.fabric_bytes) ||
      !receive(from_, memory.handle.data(), memory.handle.size()))
    throw std::runtime_error("allocate");
  if (memory.fabric_bytes == 0) return std::nullopt;
  memories_.push_back(memory);
  return static_cast<std::uint32_t>(memories_.size() - 1);
}

wire::Descriptor EngineProcess::descriptor(std::uint32_t memory) const {
  const Memory& named = memories_[memory];
  wire::Descriptor made;
  if (named.fabric_bytes == 0) {
    made.memory = wire::CudaRawMemory{named.handle, 0, named.bytes};
  } else {
    wire::CudaVmmMemory fabric;
    fabric.export_id.fill(static_cast<std::byte>(memory));
    fabric.fabric = named.handle;
    fabric.alloc_bytes = named.fabric_bytes;
    fabric.nbytes = named.bytes;
    made.memory = fabric;
  }
  made.device_uuid = uuid_;
  return made;
}

void EngineProcess::write(std::uint32_t memory, std::span<const std::byte> bytes) {
  const Command command{Op::kWrite, memory, 0};
  send(to_, &command, sizeof command);
  send(to_, bytes.data(), memories_[memory].bytes);
  char ok = 0;
  if (!receive(from_, &ok, 1)) throw std::runtime_error("write");
}

std::vector<std::byte> EngineProcess::read(std::uint32_t memory) {
  const Command command{Op::kRead, memory, 0};
  send(to_, &command, sizeof command);
  std::vector<std::byte> bytes(memories_[memory].bytes);
  if (!receive(from_, bytes.data(), bytes.size())) throw std::runtime_error("read");
  return bytes;
}

wire::Bytes EngineProcess::event(std::chrono::milliseconds delay) {
  const Command command{Op::kEvent, 0, static_cast<std::uint64_t>(delay.count())};
  send(to_, &command, sizeof command);
  wire::Bytes handle(64);
  if (!receive(from_, handle.data(), handle.size())) throw std::runtime_error("event");
  return handle;
}

void EngineProcess::wait(const wire::Bytes& event) {
  const Command command{Op::kWait, 0, 0};
  send(to_, &command, sizeof command);
  send(to_, event.data(), 64);
  char ok = 0;
  if (!receive(from_, &ok, 1)) throw std::runtime_error("wait");
}

bool EngineProcess::wait_timeline(const wire::Bytes& semaphore) {
  const Command command{Op::kWaitTimeline, 0, 0};
  send(to_, &command, sizeof command);
  send(to_, semaphore.data(), 81);
  char reached = 0;
  if (!receive(from_, &reached, 1)) throw std::runtime_error("wait");
  return reached == 'y';
}

std::uint64_t EngineProcess::free_memory() {
  const Command command{Op::kFreeMemory, 0, 0};
  send(to_, &command, sizeof command);
  std::uint64_t free = 0;
  if (!receive(from_, &free, sizeof free)) throw std::runtime_error("free memory");
  return free;
}

}  // namespace lmcache::test
