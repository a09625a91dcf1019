// L1's memory: one shared mapping of an anonymous file, owned by the Arena and gone with it.
//
// Pages are taken by the first write to them, never before, so start-up time and resident memory do
// not depend on the size. Transparent huge pages are asked for; where the kernel has them off for
// shared memory nothing is lost but speed.
#pragma once

#include <lmcache/status.hpp>

#include <cstddef>
#include <cstdint>
#include <span>

#include "pool/memory_limit.hpp"

namespace lmcache::pool {

class Arena {
 public:
  /// Maps `bytes` rounded up to whole pages. kNoMemory if that is zero, more than `limit`, or more
  /// than the kernel or a resource limit allows; the text says how much was asked for, how much
  /// there is, and which flag to lower.
  [[nodiscard]] static Result<Arena> create(std::uint64_t bytes,
                                            const MemoryLimit& limit = memory_limit());

  Arena(Arena&& other) noexcept;
  Arena& operator=(Arena&& other) noexcept;
  ~Arena();

  /// Starts at a page boundary; zero where nothing was written. Valid while the Arena lives.
  [[nodiscard]] std::span<std::byte> memory() const noexcept { return memory_; }

 private:
  explicit Arena(std::span<std::byte> memory) noexcept : memory_(memory) {}
  std::span<std::byte> memory_;
};

}  // namespace lmcache::pool
