// The load of `lmcache bench server`: workers side by side, the operations one after the other, two
// servers in turn, so that both see the same machine.
#pragma once

#include "load/worker.hpp"

#include <array>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace lmcache::load {

enum class Operation : std::uint8_t { kNoop, kStore, kLookup, kRetrieve };
inline constexpr std::array<std::string_view, 4> kOperationNames{"noop", "store", "lookup",
                                                                 "retrieve"};

struct LoadOptions {
  std::vector<std::string> urls;  ///< one or two
  geometry::MakeRegistration make = nullptr;
  /// Name to register under: the same in every run, because servers keep a bounded number of metric
  /// rows by model. Tokens differ from run to run, so nothing is shared all the same.
  std::string model;
  MakeTensors make_tensors = &make_shared_tensors;
  unsigned concurrency = 1;     ///< workers, each with its connections and its memory
  std::uint32_t tokens = 1024;  ///< of a sequence; whole chunks
  unsigned rounds = 20;         ///< at each server; one more before them is not counted
  double seconds = 0;           ///< no round begins later than this; 0: no limit
  bool clear = false;           ///< empty each server's cache before each of its rounds
  std::chrono::milliseconds patience{30'000};  ///< for an answer
  Stop stop;
  std::function<void(unsigned rounds)> progress;  ///< called after each round
};

/// What one operation took at one server.
struct OperationTimes {
  std::vector<double> latencies;      ///< seconds, one a request
  std::vector<double> round_seconds;  ///< from a round's first request to its last answer
  std::uint64_t bytes = 0;            ///< moved by all of them

  [[nodiscard]] double requests_per_second() const;
  [[nodiscard]] double gb_per_second() const;
};

struct ServerTimes {
  std::string url;
  std::array<OperationTimes, kOperationNames.size()> operations;
  std::uint64_t checked_blocks = 0;  ///< brought back by retrieves and compared
  std::uint64_t bad_blocks = 0;      ///< of those, not the bytes that were stored
};

struct LoadResult {
  std::vector<ServerTimes> servers;
  unsigned rounds = 0;  ///< that were counted, at each server
  bool interrupted = false;
};

/// Each worker in each round: 64 noops, a store of a new sequence, 8 lookups of it, a retrieve.
/// Throws std::runtime_error with one line where a server cannot be reached, refuses or loses
/// something. What it has registered is unregistered when it returns.
[[nodiscard]] LoadResult run_load(const LoadOptions& options);

/// How many times as fast the first of two servers is: the median of the rounds' ratios.
[[nodiscard]] double speed_ratio(const OperationTimes& first, const OperationTimes& second);

}  // namespace lmcache::load
