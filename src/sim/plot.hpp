// Hit ratio over pool size, a line per policy, as an SVG picture of its own (no script, no fonts).
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace lmcache::sim {

struct Curve {
  std::string name;
  bool bound = false;                             ///< drawn dashed
  std::vector<std::pair<double, double>> points;  ///< (pool in GiB, hit ratio 0..1), by size
};

/// The size axis is logarithmic. Names may hold anything.
[[nodiscard]] std::string draw_curves(const std::string& title, const std::vector<Curve>& curves);

}  // namespace lmcache::sim
