// Address space without memory: what a pool can be simulated in. Touching it is a fault.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <span>

namespace lmcache::sim {

class AddressRange {
 public:
  explicit AddressRange(std::uint64_t bytes)
      : bytes_(bytes),
        base_(::mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
                     0)) {}
  AddressRange(const AddressRange&) = delete;
  AddressRange& operator=(const AddressRange&) = delete;
  ~AddressRange() {
    if (valid()) ::munmap(base_, bytes_);
  }
  /// False: there is no range of that length.
  [[nodiscard]] bool valid() const noexcept { return base_ != MAP_FAILED; }
  [[nodiscard]] std::span<std::byte> memory() const noexcept {
    return {static_cast<std::byte*>(base_), bytes_};
  }

 private:
  std::uint64_t bytes_;
  void* base_;
};

}  // namespace lmcache::sim
