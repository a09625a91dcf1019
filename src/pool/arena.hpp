// L1's memory: one private anonymous mapping, owned by the Arena and gone with it.
//
// Pages are taken by the first write to them, never before, so start-up time and resident memory do
// not depend on the size. Transparent huge pages are asked for: with them first touches and pinning
// are some ten times faster. That is why the mapping is private: most kernels have them off for
// shared memory.
#pragma once

#include <lmcache/status.hpp>

#include <cstddef>
#include <cstdint>
#include <span>

#include "pool/huge_pages.hpp"
#include "pool/memory_limit.hpp"

namespace lmcache::pool {

class Arena {
 public:
  enum class Pages : std::uint8_t {
    kUsual,
    kHuge,  ///< 2 MiB pages of the administrator's reserve (vm.nr_hugepages)
  };

  /// Maps `bytes` rounded up to whole pages, aligned to 2 MiB. kNoMemory if that is zero, more than
  /// `limit`, or of kHuge more than `reserve` has, or more than the kernel or a resource limit
  /// allows; the text says how much was asked for, how much there is, and which flag to lower.
  [[nodiscard]] static Result<Arena> create(std::uint64_t bytes,
                                            const MemoryLimit& limit = memory_limit(),
                                            Pages pages = Pages::kUsual,
                                            const HugePages& reserve = huge_pages());

  Arena(Arena&& other) noexcept;
  Arena& operator=(Arena&& other) noexcept;
  ~Arena();

  /// Starts at a 2 MiB boundary; zero where nothing was written. Valid while the Arena lives.
  [[nodiscard]] std::span<std::byte> memory() const noexcept { return memory_; }

 private:
  explicit Arena(std::span<std::byte> memory) noexcept : memory_(memory) {}
  std::span<std::byte> memory_;
};

}  // namespace lmcache::pool
