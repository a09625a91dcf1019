// What happened at a server between two scrapes of its metrics, and what there is at the second.
// Pure: `lmcache top` takes the scrapes and shows the activity.
#pragma once

#include "commands/prometheus.hpp"

#include <optional>
#include <string>
#include <vector>

namespace lmcache::commands {

/// Bytes moved, by direction: "store" or "retrieve".
inline constexpr std::string_view kCopiedBytes = "lmcache_mp_copied_bytes_total";

/// The same by engine_id, with its model_name: those of each engine that is registered now.
inline constexpr std::string_view kEngineBytes = "engine_bytes";

/// Bytes of L1; the four add up to its size.
struct PoolFill {
  double pinned = 0;    ///< resident, kept from eviction by a lease, a read or a store
  double resident = 0;  ///< the other resident objects
  double reserved = 0;  ///< taken by stores that have not ended
  double free = 0;
};

/// The transfers of one engine worker.
struct EngineActivity {
  std::string engine, model;
  double stores_per_second = 0, retrieves_per_second = 0;
  double store_gb_per_second = 0, retrieve_gb_per_second = 0;  ///< moved in the interval
};

/// From a request's turn to its answer. Only operations that were asked for.
struct OperationActivity {
  std::string operation;
  double per_second = 0;
  double mean_seconds = 0;
  double p99_seconds = 0;  ///< from the histogram's buckets: right to within a bucket
};

struct Activity {
  double seconds = 0;  ///< between the scrapes; 0: there was only one
  PoolFill pool;
  double objects = 0, sessions = 0, workers = 0;
  double connections = 0, connections_paused = 0;
  std::optional<double> hit_ratio;  ///< tokens found of tokens asked for; none: nobody asked
  double stored_gb_per_second = 0, retrieved_gb_per_second = 0;  ///< all engines together
  double evicted_objects_per_second = 0, evicted_gb_per_second = 0;
  double leases_expired_per_second = 0, leases_orphaned_per_second = 0;
  double failures_per_second = 0;
  std::vector<EngineActivity> engines;
  std::vector<OperationActivity> operations;  ///< slowest mean first
};

/// Rates need two scrapes, `seconds` apart. A counter that has shrunk was reset by a restart of the
/// server: all it says now has happened since.
[[nodiscard]] Activity activity_between(const Scrape& before, const Scrape& after, double seconds);
/// The state alone: rates and operations stay empty.
[[nodiscard]] Activity state_of(const Scrape& scrape);

}  // namespace lmcache::commands
