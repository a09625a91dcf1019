#include "obs/counters.hpp"

#include "obs/label_table.hpp"
#include "obs/log.hpp"
#include "obs/rate_limit.hpp"

#include <algorithm>
#include <array>
#include <atomic>
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
constexpr std::size_t kCauses = static_cast<std::size_t>(Cause::kInternal) + 1;

bool is_operation_name(std::string_view name) {
  return !name.empty() && name.size() <= kMaxOperationBytes &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
         });
}

/// Failures of one operation by cause.
struct Kinds {
  std::array<std::atomic<std::uint64_t>, kCauses> counts{};
};

class Failures {
 public:
  /// Counts, and says whether to log: the number held back, or nothing. `operation` becomes the
  /// row's name.
  std::optional<std::uint64_t> count(std::string_view& operation, Cause cause,
                                     RateLimit::Clock::time_point now) {
    if (cause == Cause::kUnknownOperation || !is_operation_name(operation)) operation = kUnknown;
    const std::lock_guard lock(mutex_);
    auto row = rows_.find(operation);
    if (row == rows_.end()) {
      if (rows_.size() >= kMaxOperations) operation = kUnknown;
      row = rows_.try_emplace(std::string(operation), table_.row({std::string(operation)})).first;
    }
    const auto kind = static_cast<std::size_t>(cause);
    row->second.kinds->counts[kind].fetch_add(1, std::memory_order_relaxed);
    return row->second.lines[kind].admit(now);
  }

  /// Takes no lock.
  std::vector<FailureCount> all() const {
    std::vector<FailureCount> counts;
    table_.for_each([&](const auto& labels, const Kinds& kinds) {
      for (std::size_t kind = 0; kind < kCauses; ++kind) {
        const std::uint64_t count = kinds.counts[kind].load(std::memory_order_relaxed);
        if (count > 0) counts.push_back({labels[0], static_cast<Cause>(kind), count});
      }
    });
    std::ranges::sort(counts, [](const FailureCount& x, const FailureCount& y) {
      return std::tie(x.operation, x.cause) < std::tie(y.operation, y.cause);
    });
    return counts;
  }

 private:
  struct Row {
    explicit Row(Kinds& counted) : kinds(&counted), lines(kCauses, RateLimit{kLogInterval}) {}
    Kinds* kinds;
    std::vector<RateLimit> lines;  ///< by cause
  };
  std::mutex mutex_;  // guards rows_; held for a few map steps
  std::map<std::string, Row, std::less<>> rows_;
  LabelTable<Kinds, 1, kMaxOperations + 1> table_;
};

Failures& failures() {
  static Failures instance;
  return instance;
}

}  // namespace

void request_failed(std::string_view operation, const Error& error, std::string_view peer) {
  const auto held_back = failures().count(operation, error.cause, RateLimit::Clock::now());
  if (!held_back || !log_options().failed_requests) return;
  log_every_event(Level::kWarn, "request failed",
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
