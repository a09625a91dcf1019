// The other side of CUDA IPC: a process that owns device memory and events, as an engine does. A
// process cannot open its own exports, so the test starts itself again with --engine and talks to
// it through pipes.
#pragma once

#include "wire/descriptors.hpp"
#include "wire/message.hpp"

#include <sys/types.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace lmcache::test {

class EngineProcess {
 public:
  explicit EngineProcess(int device = 0);
  ~EngineProcess();
  EngineProcess(const EngineProcess&) = delete;
  EngineProcess& operator=(const EngineProcess&) = delete;

  /// Device memory with an IPC handle; returns its number.
  std::uint32_t allocate(std::uint64_t bytes);
  /// The same with a fabric handle; nothing where this machine gives out none.
  std::optional<std::uint32_t> allocate_fabric(std::uint64_t bytes);
  /// All of it: cuda_raw or cuda_vmm.
  [[nodiscard]] wire::Descriptor descriptor(std::uint32_t memory) const;
  void write(std::uint32_t memory, std::span<const std::byte> bytes);
  [[nodiscard]] std::vector<std::byte> read(std::uint32_t memory);
  /// An interprocess event that is over `delay` from now.
  [[nodiscard]] wire::Bytes event(std::chrono::milliseconds delay = {});
  /// Waits until an event of the other side is over.
  void wait(const wire::Bytes& event);
  /// Waits until a timeline semaphore of the other side has reached its value; false: it does not.
  [[nodiscard]] bool wait_timeline(const wire::Bytes& semaphore);
  [[nodiscard]] std::uint64_t free_memory();  ///< of the device
  void kill();

  [[nodiscard]] const std::string& uuid() const noexcept { return uuid_; }
  [[nodiscard]] const std::array<std::byte, 64>& handle(std::uint32_t memory) const {
    return memories_[memory].handle;
  }

 private:
  struct Memory {
    std::array<std::byte, 64> handle{};
    std::uint64_t bytes = 0;
    std::uint64_t fabric_bytes = 0;  ///< of the whole allocation; 0: the handle is an IPC handle
  };
  pid_t pid_ = -1;
  int to_ = -1, from_ = -1;
  std::string uuid_;
  std::vector<Memory> memories_;
};

/// main() of the engine's side.
int run_engine(int device);

}  // namespace lmcache::test
