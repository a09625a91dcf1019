// Failed requests, counted by operation and cause. Process-wide; any thread.
#pragma once

#include <lmcache/status.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lmcache::obs {

/// Counts a failed request by operation and cause and logs it, rate-limited per (operation, cause):
/// the first of a kind at once, then at most one line each ten seconds with the number left out.
/// `operation` is the protocol's name for it. The set of rows is bounded whatever peers send:
/// kUnknownOperation, names that are not of the form [a-z0-9_]{1,64} and names beyond the 64th all
/// count as "unknown". `text` and `peer` are cleaned (log.hpp); `text` must not contain token ids,
/// salts or prompt content.
void request_failed(std::string_view operation, const Error& error, std::string_view peer);

struct FailureCount {
  std::string operation;
  Cause cause;
  std::uint64_t count;
};
/// All failures so far, sorted by operation and cause. Takes no lock that counting needs.
[[nodiscard]] std::vector<FailureCount> failure_counts();

}  // namespace lmcache::obs
