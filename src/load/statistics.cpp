#include "load/statistics.hpp"

#include <algorithm>
#include <cmath>

namespace lmcache::load {

Percentiles percentiles_of(std::vector<double> latencies) {
  if (latencies.empty()) return {};
  std::ranges::sort(latencies);
  const auto rank = [&](double share) {
    const double place = std::ceil(share * static_cast<double>(latencies.size()));
    return latencies[static_cast<std::size_t>(std::max(place, 1.0)) - 1];
  };
  return {rank(0.50), rank(0.90), rank(0.99), latencies.back()};
}

double median_of(std::vector<double> values) {
  if (values.empty()) return 0;
  std::ranges::sort(values);
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

}  // namespace lmcache::load
