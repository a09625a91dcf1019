// Keeps L1 out of swap, and knows the limit to that.
#pragma once

#include <lmcache/status.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace lmcache::pool {

/// Locks `memory` page by page as it is first written (nothing is touched here); the lock goes with
/// the mapping. kNoMemory when the memlock limit is too small, with the limit found and how to
/// raise it.
[[nodiscard]] Status lock_memory(std::span<std::byte> memory);

/// Where the memlock limit is less than `bytes`: that limit, and how to raise it; else empty.
[[nodiscard]] std::string memlock_hint(std::uint64_t bytes);

}  // namespace lmcache::pool
