// What the times of many requests add up to. Pure.
#pragma once

#include <cstddef>
#include <vector>

namespace lmcache::load {

/// Of latencies in seconds. All 0 where there are none.
struct Percentiles {
  double p50 = 0, p90 = 0, p99 = 0, max = 0;
};
/// By nearest rank: each is the latency of a request that took place.
[[nodiscard]] Percentiles percentiles_of(std::vector<double> latencies);

/// The middle one, or the mean of the middle two; 0 of none.
[[nodiscard]] double median_of(std::vector<double> values);

}  // namespace lmcache::load
