// Whether the server is well, and why not.
#pragma once

#include "gpu/pinned_pool.hpp"
#include "obs/pulse.hpp"

#include <optional>
#include <string>
#include <vector>

namespace lmcache::admin {

/// Why a server with these loops is unwell: those that have been silent beyond the limit.
[[nodiscard]] std::optional<std::string> illness(const std::vector<obs::Vital>& vitals);

/// Why L1 is not ready to be copied to and from, where `ratio` of it must be.
[[nodiscard]] std::optional<std::string> unreadiness(const gpu::PinnedPoolStatus& pool,
                                                     double ratio);

}  // namespace lmcache::admin
