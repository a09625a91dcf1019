#include "obs/metrics.hpp"

namespace lmcache::obs {

Metrics& metrics() noexcept {
  static Metrics instance;
  return instance;
}

}  // namespace lmcache::obs
