// What the serving path counts for /metrics. Process-wide; any thread; every count is an atomic, so
// a scrape takes no lock that serving needs. Rows of labels are bounded whatever peers send.
#pragma once

#include "obs/histogram.hpp"
#include "obs/label_table.hpp"
#include "obs/lives.hpp"

#include <array>
#include <atomic>
#include <cstdint>

namespace lmcache::obs {

/// Upper bounds in seconds of what a request spends somewhere.
inline constexpr std::array<double, 19> kSecondsBounds{
    10e-6, 25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3,
    25e-3, 50e-3, 0.1,   0.25,   0.5,    1,      2.5,  10,     60};
/// Upper bounds in GB/s: the reference's, and some more where machines are.
inline constexpr std::array<double, 20> kGigabytesBounds{
    0, 0.25, 0.5, 1, 2.5, 5, 7.5, 10, 15, 20, 25, 30, 40, 50, 75, 100, 250, 500, 1000, 10000};

using SecondsHistogram = Histogram<kSecondsBounds>;
using GigabytesHistogram = Histogram<kGigabytesBounds>;

/// Of one operation of the protocol.
struct OperationCounts {
  Counter answered;
  SecondsHistogram queue;  ///< from arrival to its turn; not for what is answered on the spot
  SecondsHistogram work;   ///< from its turn to its answer; likewise
  SecondsHistogram reply;  ///< from its answer to its bytes being with the kernel, or queued behind
                           ///< what the peer has not read; likewise
};

/// By model and cache_salt.
struct LookupCounts {
  Counter lookups, requested_tokens, hit_tokens, hit_objects;
};
/// By cache_salt.
struct L1Counts {
  Counter written_objects, read_objects, evicted_objects;
};
/// By model, cache_salt and worker.
struct LoadCounts {
  Counter chunks;
};
/// By model: objects that had no room, or were not there to be read.
struct FailedObjects {
  Counter objects;
};
/// Of the copy threads, or of all GPUs.
struct TransferCounts {
  Counter submitted_stores, finished_stores, submitted_retrieves, finished_retrieves;
};
/// By device, worker and model.
struct TransferRates {
  GigabytesHistogram store, load;
};
/// By model; set by housekeeping.
struct ModelUsage {
  std::atomic<std::uint64_t> resident_bytes{0}, pinned_bytes{0};
};

struct Metrics {
  static constexpr std::size_t kOperations = 128;  ///< by number of the operation; 0: unknown ones

  std::array<OperationCounts, kOperations> operations;
  LabelTable<LookupCounts, 2, 64, 1> lookups;
  LabelTable<L1Counts, 1, 64, 0> l1;
  LabelTable<LoadCounts, 3, 64, 1, 2> loads;
  LabelTable<TransferRates, 3, 64, 1> rates;
  LabelTable<ModelUsage, 1, 64> models;
  LabelTable<FailedObjects, 1, 64> allocation_failures, read_failures;
  Lives lives;
  TransferCounts cpu, cuda;
  Counter leases_expired, leases_freed_by_death;
  Counter eviction_ticks, eviction_triggered;
};

[[nodiscard]] Metrics& metrics() noexcept;

}  // namespace lmcache::obs
