// Cache::Impl is the shared core plus what only the Cache itself needs.
#pragma once

#include "cache/core.hpp"

namespace lmcache {

struct Cache::Impl : detail::Core {
  using Core::Core;
  std::uint64_t trigger_bytes = 0;      ///< used bytes at which background eviction starts
  std::uint64_t target_bytes = 0;       ///< and at which it stops
  std::uint32_t checkpoint_chunks = 1;  ///< CacheOptions::window_checkpoint_chunks
};

}  // namespace lmcache
