// Whether the server is well, and why not.
#pragma once

#include "admin/context.hpp"
#include "gpu/pinned_pool.hpp"
#include "gpu/transfer.hpp"
#include "obs/pulse.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lmcache::admin {

/// Why a server with these loops is unwell: those that have been silent beyond the limit.
[[nodiscard]] std::optional<std::string> illness(const std::vector<obs::Vital>& vitals);

/// The same of a server with these GPUs in use too: CUDA gives one up for good.
[[nodiscard]] std::optional<std::string> illness(const std::vector<obs::Vital>& vitals,
                                                 const std::vector<gpu::DeviceStatus>& gpus);

/// Whether one of these loops has that name and has not been silent beyond the limit.
[[nodiscard]] bool comes_round(const std::vector<obs::Vital>& vitals, std::string_view name);

/// Of this server, now: what every endpoint that tells its health goes by, so that they agree.
[[nodiscard]] std::optional<std::string> illness(const Context& context);

/// Why L1 is not ready to be copied to and from, where `ratio` of it must be.
[[nodiscard]] std::optional<std::string> unreadiness(const gpu::PinnedPoolStatus& pool,
                                                     double ratio);

}  // namespace lmcache::admin
