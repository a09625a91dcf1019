// /healthcheck: is it well (or is it to be restarted)? /readyz: should traffic be sent to it?
#include "admin/health.hpp"
#include "admin/routes.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>

namespace lmcache::admin {
namespace {

Response unhealthy(const std::string& reason) {
  return json({{"status", "unhealthy"}, {"reason", reason}}, 503);
}

Response healthcheck(const Context& context) {
  if (const auto reason = illness(context)) return unhealthy(*reason);
  return json({{"status", "healthy"}});
}

Response ready(const Context& context) {
  const auto not_ready = [](const std::string& reason) {
    return json({{"status", "not ready"}, {"reason", reason}}, 503);
  };
  const Phase phase = context.phase;
  if (phase == Phase::kStarting) return not_ready("starting");
  if (phase == Phase::kStopping) return not_ready("stopping");
  if (const auto reason = illness(context)) return unhealthy(*reason);
  if (const auto reason =
          unreadiness(context.engine.pinned_pool().status(), context.config.ready_pinned_ratio))
    return not_ready(*reason);
  return json({{"status", "ready"}});
}

}  // namespace

std::optional<std::string> illness(const std::vector<obs::Vital>& vitals) {
  std::string names;
  auto longest = obs::Pulse::Clock::duration::zero();
  for (const obs::Vital& vital : vitals) {
    if (vital.silence <= obs::Pulse::kLimit) continue;
    names += (names.empty() ? "" : ", ") + vital.name;
    longest = std::max(longest, vital.silence);
  }
  if (names.empty()) return std::nullopt;
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(longest).count();
  return "not come round for " + std::to_string(seconds) + " s: " + names;
}

bool comes_round(const std::vector<obs::Vital>& vitals, std::string_view name) {
  return std::ranges::any_of(vitals, [&](const obs::Vital& vital) {
    return vital.name == name && vital.silence <= obs::Pulse::kLimit;
  });
}

std::optional<std::string> illness(const std::vector<obs::Vital>& vitals,
                                   const std::vector<gpu::DeviceStatus>& gpus) {
  if (auto reason = illness(vitals)) return reason;
  const auto lost = std::ranges::find_if(
      gpus, [](const gpu::DeviceStatus& device) { return !device.error.empty(); });
  if (lost == gpus.end()) return std::nullopt;
  return "GPU " + lost->uuid + " is lost: " + lost->error;
}

std::optional<std::string> illness(const Context& context) {
  return illness(obs::vitals(), context.engine.listings()->gpus);
}

std::optional<std::string> unreadiness(const gpu::PinnedPoolStatus& pool, double ratio) {
  const double share = static_cast<double>(pool.ready_bytes) /
                       static_cast<double>(std::max<std::uint64_t>(pool.total_bytes, 1));
  if (pool.ready_bytes == pool.total_bytes || share >= ratio) return std::nullopt;
  const auto text = [](double percent) { return std::to_string(std::lround(percent)) + "%"; };
  return "L1 is touched and pinned to " + text(std::floor(100 * share)) + ", less than the " +
         text(std::ceil(100 * ratio)) + " of --ready-pinned-ratio";
}

void add_health_routes(Router& router, const Context& context) {
  router.add({.verb = Verb::get,
              .pattern = "/healthcheck",
              .summary = "Whether every loop of the server, L1 and the GPUs in use are alive",
              .handler = [&context](const Request&) { return healthcheck(context); },
              .open = true,
              .answers = {{503, "Unwell; the reason names what"}}});
  router.add({.verb = Verb::get,
              .pattern = "/readyz",
              .summary = "Whether the server takes requests",
              .handler = [&context](const Request&) { return ready(context); },
              .open = true,
              .answers = {{503, "Starting, stopping, unwell, or L1 is not pinned yet"}}});
}

}  // namespace lmcache::admin
