// Whether the server is well, and why not.
#pragma once

#include "obs/pulse.hpp"

#include <optional>
#include <string>
#include <vector>

namespace lmcache::admin {

/// Why a server with these loops is unwell: those that have been silent beyond the limit.
[[nodiscard]] std::optional<std::string> illness(const std::vector<obs::Vital>& vitals);

}  // namespace lmcache::admin
