// /quota: limits per cache_salt. GB are GiB here, as in the reference.
#include "admin/input.hpp"
#include "admin/quotas.hpp"
#include "admin/routes.hpp"

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

/// {"limit_gb": number}. The reference answers 400 with {"error"} here, not 422.
Response set(Quotas& quotas, const Request& request) {
  const Json body = Json::parse(request.body, nullptr, false);
  if (body.is_discarded()) return error(400, "invalid JSON body");
  if (!body.is_object() || !body.contains("limit_gb"))
    return error(400, "body must be {'limit_gb': <float>}");
  if (!body["limit_gb"].is_number()) return error(400, "limit_gb must be numeric");
  const double limit = body["limit_gb"].get<double>();
  if (!std::isfinite(limit)) return error(400, "limit_gb must be finite");
  if (limit < 0) return error(400, "limit_gb must be non-negative");
  if (limit > kLimitMax) return error(400, "limit_gb must be at most 1048576");
  const std::string salt = salt_of(request);
  const Status done = quotas.set(salt, static_cast<std::uint64_t>(limit * kGib));
  if (!done) return error(400, done.error().text);
  return json({{"cache_salt", shown(salt)}, {"limit_gb", limit}, {"status", "ok"}});
}

Response get(const Quotas& quotas, const Request& request) {
  const std::string salt = salt_of(request);
  const auto row = quotas.get(salt);
  return json({{"cache_salt", shown(salt)},
               {"limit_gb", gib(row ? row->limit_bytes : 0)},
               {"current_usage_gb", gib(row ? row->used_bytes : quotas.used_bytes(salt))},
               {"exists", row.has_value()}});
}

Response remove(Quotas& quotas, const Request& request) {
  const std::string salt = salt_of(request);
  return json(
      {{"cache_salt", shown(salt)}, {"status", quotas.remove(salt) ? "removed" : "not_found"}});
}

Response list(const Quotas& quotas) {
  Json users = Json::object();
  for (const Quotas::Row& row : quotas.all())
    users[shown(row.salt)] = {{"limit_gb", gib(row.limit_bytes)},
                              {"current_usage_gb", gib(row.used_bytes)}};
  return json({{"users", std::move(users)}});
}

}  // namespace

void add_quota_routes(Router& router, Quotas* quotas) {
  const auto with_quotas = [quotas](auto answer) {
    return [quotas, answer](const Request& request) {
      return quotas != nullptr ? answer(*quotas, request)
                               : error(503, "this server keeps no quotas yet");
    };
  };
  const std::vector<std::pair<unsigned, std::string>> answers{{503, "No quotas are kept"}};
  const auto add = [&](Verb verb, const char* pattern, const char* summary, Handler handler) {
    router.add({.verb = verb,
                .pattern = pattern,
                .summary = summary,
                .handler = std::move(handler),
                .lane = Lane::kSlow,
                .answers = answers});
  };
  constexpr auto kOne = "/quota/{cache_salt}";
  router.add({.verb = Verb::put,
              .pattern = kOne,
              .summary = "Sets the limit of a cache_salt; _default is the empty one",
              .handler = with_quotas([](Quotas& q, const Request& r) { return set(q, r); }),
              .lane = Lane::kSlow,
              .body = {{"type", "object"},
                       {"required", {"limit_gb"}},
                       {"properties", {{"limit_gb", {{"type", "number"}, {"minimum", 0}}}}}},
              .answers = {{400, "Not a limit"}, {503, "No quotas are kept"}}});
  add(Verb::get, kOne, "A cache_salt's limit and use",
      with_quotas([](Quotas& q, const Request& r) { return get(q, r); }));
  add(Verb::delete_, kOne, "Takes the limit away",
      with_quotas([](Quotas& q, const Request& r) { return remove(q, r); }));
  add(Verb::get, "/quota", "All limits and their use",
      with_quotas([](Quotas& q, const Request&) { return list(q); }));
}

}  // namespace lmcache::admin
