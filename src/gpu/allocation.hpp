// Memory of another process, opened here. The driver keeps one mapping per process and allocation,
// so each is opened once and counted. Closing waits for everything on the GPU, so it does not
// happen with the last user but when the GPU's thread can afford it.
//
// Threads: the GPU's own.
#pragma once

#include "wire/descriptors.hpp"

#include <lmcache/status.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace lmcache::gpu {

class Allocation {
 public:
  virtual ~Allocation() = default;
  [[nodiscard]] std::byte* base() const noexcept { return base_; }
  [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }  ///< as the driver says

 protected:
  std::byte* base_ = nullptr;
  std::uint64_t bytes_ = 0;
};
using AllocationPtr = std::shared_ptr<Allocation>;

class AllocationTable {
 public:
  /// The current device must be the one the memory lies on. kBadSegment with the driver's reason.
  [[nodiscard]] Result<AllocationPtr> open_ipc(const std::array<std::byte, 64>& handle);
  [[nodiscard]] Result<AllocationPtr> open_fabric(const wire::CudaVmmMemory& memory, int ordinal);
  /// Closes what nobody uses any more.
  void close_unused();

 private:
  std::map<std::string, AllocationPtr> known_;  // by handle
  std::vector<AllocationPtr> failed_;           // opened in part
};

}  // namespace lmcache::gpu
