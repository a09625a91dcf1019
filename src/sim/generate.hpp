// Seeded request traces, the same on every machine: only whole-number arithmetic on one generator.
//
//   chat       conversations of a few turns that begin with one of a few system prompts; each turn
//              repeats all before it
//   agents     a task's long prompt, from which several branches go on, step by step, some of them
//              branching again
//   documents  long documents, each asked several questions
//   scans      chat, and one-off prompts that never come again, half of all tokens
#pragma once

#include <lmcache/status.hpp>

#include <cstdint>
#include <string_view>

#include "sim/trace.hpp"

namespace lmcache::sim {

inline constexpr std::uint32_t kTraceBlockTokens = 512;  ///< as in the public Mooncake traces

inline constexpr std::uint32_t kMostPauseDoublings = 20;

struct TraceOptions {
  std::string_view workload = "chat";
  std::uint64_t seed = 1;
  std::uint32_t requests = 10'000;
  std::uint32_t active = 200;  ///< conversations (tasks, documents) going on at a time
  std::uint32_t tenants = 1;   ///< each has its own cache_salt if there are several
  /// Between a source's requests: at least so long, and each of so many doublings of it as likely
  /// as the next.
  std::uint32_t pause_ms = 1000;
  std::uint32_t pause_doublings = 9;  ///< at most kMostPauseDoublings
};

[[nodiscard]] std::string_view workload_names() noexcept;
/// kMalformed if there is no such workload.
[[nodiscard]] Result<Trace> generate_trace(const TraceOptions& options);

}  // namespace lmcache::sim
