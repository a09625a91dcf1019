// One pass of a trace through the daemon's cache, driven as the request engine drives it: a lookup
// over the whole prompt, a read of the hit, stores of what is missing in steps as an engine
// prefills it, the touch at the request's end, and background eviction once a second of the trace's
// time. The pool's bytes are never touched: the address range is mapped, nothing more.
#pragma once

#include <lmcache/cache.hpp>
#include <lmcache/status.hpp>

#include <cstdint>
#include <string>

#include "sim/trace.hpp"

namespace lmcache::sim {

struct SimulationOptions {
  std::uint64_t pool_bytes = 1ull << 30;
  CacheOptions cache;
  LayoutPtr layout;
  std::uint32_t block_tokens = 512, chunk_tokens = 256;
  std::uint32_t step_chunks = 32;  ///< chunks an engine prefills and stores at a time
};

struct SimulationReport {
  std::uint64_t requests = 0;
  std::uint64_t asked_tokens = 0, served_tokens = 0;  ///< of whole chunks
  std::uint64_t asked_bytes = 0, served_bytes = 0;    ///< what a full hit reads, and what was read
  std::uint64_t failed_stores = 0;                    ///< refused for want of memory
  CacheStats stats;                                   ///< at the end
  /// Share of the pool that was free, but in no gap that was large enough, when an allocation had
  /// to evict: on average, and at most.
  double fragmentation = 0, worst_fragmentation = 0;
  /// Nanoseconds of a call, on average; a store is reserve and commit with what it evicts.
  double lookup_ns = 0, store_ns = 0;

  [[nodiscard]] double token_hit_ratio() const noexcept;
  [[nodiscard]] double byte_hit_ratio() const noexcept;
};

/// kNoMemory if so much address space cannot be had.
[[nodiscard]] Result<SimulationReport> simulate(const Trace& trace,
                                                const SimulationOptions& options);

}  // namespace lmcache::sim
