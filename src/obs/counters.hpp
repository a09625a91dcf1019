// Process-wide counters by name and labels, cheap to bump from any thread.
#pragma once

#include <lmcache/status.hpp>

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lmcache::obs {

/// Counts a failed request by operation and cause and logs it once, rate-limited per (operation, cause): the first of a kind at once, then at
/// most one line each ten seconds with the number left out. `text` must not contain token ids, salts or prompt content.
void request_failed(std::string_view operation, const Error& error, std::string_view peer);

struct FailureCount {
  std::string operation;
  Cause cause;
  std::uint64_t count;
};
/// All failures so far, sorted by operation and cause.
[[nodiscard]] std::vector<FailureCount> failure_counts();

}  // namespace lmcache::obs
