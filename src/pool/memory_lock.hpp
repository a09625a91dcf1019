// Keeps L1 out of swap.
#pragma once

#include <lmcache/status.hpp>

#include <cstddef>
#include <span>

namespace lmcache::pool {

/// Locks `memory` page by page as it is first written (nothing is touched here); the lock goes with
/// the mapping. kNoMemory when the memlock limit is too small, with the limit found and how to
/// raise it.
[[nodiscard]] Status lock_memory(std::span<std::byte> memory);

}  // namespace lmcache::pool
