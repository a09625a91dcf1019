#include "obs/counters.hpp"

#include "obs/log.hpp"
#include "obs/rate_limit.hpp"

#include <algorithm>
#include <chrono>
#include <map>
#include <mutex>
#include <tuple>

namespace lmcache::obs {
namespace {

constexpr std::size_t kMaxOperations = 64;  // the protocol has 36; what is beyond shares one row
constexpr std::size_t kMaxOperationBytes = 64;  // the longest name of the protocol has 46
constexpr std::chrono::seconds kLogInterval{10};
constexpr std::string_view kUnknown = "unknown";

bool is_operation_name(std::string_view name) {
  return !name.empty() && name.size() <= kMaxOperationBytes &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
         });
}

class Failures {
 public:
  /// Counts, and says whether to log: the number held back, or nothing. `operation` becomes the
  /// row's name.
  std::optional<std::uint64_t> count(std::string_view& operation, Cause cause,
                                     RateLimit::Clock::time_point now) {
    const std::lock_guard lock(mutex_);
    auto row = rows_.find(operation);
    if (cause == Cause::kUnknownOperation || !is_operation_name(operation) ||
        (row == rows_.end() && rows_.size() >= kMaxOperations)) {
      operation = kUnknown;
      row = rows_.find(operation);
    }
    if (row == rows_.end()) row = rows_.emplace(std::string(operation), Causes{}).first;
    Kind& kind = row->second.try_emplace(cause).first->second;
    ++kind.count;
    return kind.lines.admit(now);
  }

  std::vector<FailureCount> all() const {
    const std::lock_guard lock(mutex_);
    std::vector<FailureCount> counts;
    for (const auto& [operation, causes] : rows_) {
      for (const auto& [cause, kind] : causes) counts.push_back({operation, cause, kind.count});
    }
    return counts;
  }

 private:
  struct Kind {
    std::uint64_t count = 0;
    RateLimit lines{kLogInterval};
  };
  using Causes = std::map<Cause, Kind>;

  mutable std::mutex mutex_;  // guards rows_; innermost, held for a few map steps
  std::map<std::string, Causes, std::less<>> rows_;
};

Failures& failures() {
  static Failures instance;
  return instance;
}

}  // namespace

void request_failed(std::string_view operation, const Error& error, std::string_view peer) {
  const auto held_back = failures().count(operation, error.cause, RateLimit::Clock::now());
  if (!held_back || !log_options().failed_requests) return;
  log_event(Level::kWarn, "request failed",
            {{"operation", operation},
             {"cause", to_string(error.cause)},
             {"peer", peer},
             {"text", error.text},
             {"left_out", *held_back}});
}

std::vector<FailureCount> failure_counts() {
  return failures().all();
}

}  // namespace lmcache::obs
