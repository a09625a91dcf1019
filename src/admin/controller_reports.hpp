// What /status tells of the reference's controllers, its threads that move and evict objects.
#pragma once

#include "admin/http.hpp"
#include "obs/pulse.hpp"

#include <lmcache/config.hpp>

#include <vector>

namespace lmcache::admin {

/// Here housekeeping evicts in the background, so its life is the controller's.
[[nodiscard]] Json eviction_report(const ServerConfig& config,
                                   const std::vector<obs::Vital>& vitals);

/// Those between L1 and L2 have nothing to do in a reference server without L2, which tells them
/// alive. Here there are none, and so none that could have died.
[[nodiscard]] Json store_report();
[[nodiscard]] Json prefetch_report();

}  // namespace lmcache::admin
