// /quota: limits per cache_salt. GB are GiB here, as in the reference.
#include "admin/routes.hpp"
#include "obs/log.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace lmcache::admin {
namespace {

constexpr double kGib = 1024.0 * 1024.0 * 1024.0;
constexpr double kLimitMax = 1024.0 * 1024.0;  // GiB

// The empty salt cannot stand in a path.
constexpr std::string_view kNoSalt = "_default";

std::string salt_of(const Request& request) {
  const std::string& place = request.places.at("cache_salt");
  return place == kNoSalt ? "" : place;
}

std::string shown(const std::string& salt) {
  return salt.empty() ? std::string(kNoSalt) : salt;
}

double gib(std::uint64_t bytes) {
  return static_cast<double>(bytes) / kGib;
}

/// A number, or a string that is one: the reference takes both.
std::optional<double> number(const Json& value) {
  if (value.is_number()) return value.get<double>();
  if (!value.is_string()) return std::nullopt;
  const auto& text = value.get_ref<const std::string&>();
  double parsed = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), parsed);
  if (failed != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return parsed;
}

/// {"limit_gb": number}. The reference answers 400 with {"error"} here, not 422.
Response set(Cache& cache, const Request& request) {
  const Json body = Json::parse(request.body, nullptr, false);
  if (body.is_discarded()) return error(400, "invalid JSON body");
  if (!body.is_object() || !body.contains("limit_gb"))
    return error(400, "body must be {'limit_gb': <float>}");
  const std::optional<double> limit = number(body["limit_gb"]);
  if (!limit) return error(400, "limit_gb must be numeric");
  if (!std::isfinite(*limit)) return error(400, "limit_gb must be finite");
  if (*limit < 0) return error(400, "limit_gb must be non-negative");
  if (*limit > kLimitMax) return error(400, "limit_gb must be at most 1048576");
  const std::string salt = salt_of(request);
  const Status done = cache.set_limit(salt, static_cast<std::uint64_t>(*limit * kGib));
  if (!done) return error(409, done.error().text);
  // Whose limit it is stays out of the log: a salt may be a secret.
  obs::log_event(obs::Level::kInfo, "a limit was set over HTTP", {{"limit_gb", *limit}});
  Response response = json({{"cache_salt", shown(salt)}, {"limit_gb", *limit}, {"status", "ok"}});
  if (!cache.enforces_limits()) {
    // The reference takes limits under any policy, too, so scripts that set them go on. The answer
    // has its fields alone.
    obs::log_event(obs::Level::kWarn, "a limit was set that nothing enforces",
                   {{"cure", "--eviction-policy IsolatedLRU"}});
    response.headers.emplace_back(
        "Warning", "199 lmcache \"remembered, not enforced: that takes IsolatedLRU\"");
  }
  return response;
}

Response get(const Cache& cache, const Request& request) {
  const TenantUsage tenant = cache.tenant(salt_of(request));
  const bool exists = tenant.quota.is_limited();
  return json({{"cache_salt", shown(tenant.salt)},
               {"limit_gb", gib(exists ? tenant.quota.max_bytes : 0)},
               {"current_usage_gb", gib(tenant.used_bytes)},
               {"exists", exists}});
}

Response remove(Cache& cache, const Request& request) {
  const std::string salt = salt_of(request);
  const bool removed = cache.remove_limit(salt);
  if (removed) obs::log_event(obs::Level::kInfo, "a limit was removed over HTTP");
  return json({{"cache_salt", shown(salt)}, {"status", removed ? "removed" : "not_found"}});
}

Response list(const Cache& cache) {
  std::vector<TenantUsage> tenants = cache.limited_tenants();
  std::ranges::sort(tenants, {}, &TenantUsage::salt);
  Json users = Json::object();
  for (const TenantUsage& tenant : tenants)
    users[shown(tenant.salt)] = {{"limit_gb", gib(tenant.quota.max_bytes)},
                                 {"current_usage_gb", gib(tenant.used_bytes)}};
  return json({{"users", std::move(users)}});
}

}  // namespace

void add_quota_routes(Router& router, Cache& cache) {
  constexpr auto kOne = "/quota/{cache_salt}";
  router.add({.verb = Verb::put,
              .pattern = kOne,
              .summary = "Sets the limit of a cache_salt; _default is the empty one",
              .handler = [&cache](const Request& request) { return set(cache, request); },
              .lane = Lane::kSlow,
              .body = {{"type", "object"},
                       {"required", {"limit_gb"}},
                       {"properties", {{"limit_gb", {{"type", "number"}, {"minimum", 0}}}}}},
              .answers = {{400, "Not a limit"}, {409, "There are too many limits"}},
              .needs_body = true});
  router.add({.verb = Verb::get,
              .pattern = kOne,
              .summary = "A cache_salt's limit and use",
              .handler = [&cache](const Request& request) { return get(cache, request); },
              .lane = Lane::kSlow});
  router.add({.verb = Verb::delete_,
              .pattern = kOne,
              .summary = "Takes the limit away",
              .handler = [&cache](const Request& request) { return remove(cache, request); },
              .lane = Lane::kSlow});
  router.add({.verb = Verb::get,
              .pattern = "/quota",
              .summary = "All limits and their use",
              .handler = [&cache](const Request&) { return list(cache); },
              .lane = Lane::kSlow});
}

}  // namespace lmcache::admin
