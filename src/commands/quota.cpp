#include "commands/command.hpp"
#include "commands/json_path.hpp"

namespace lmcache::commands {
namespace {

using boost::beast::http::verb;

/// The empty salt cannot stand in a path.
std::string path_of(const std::string& salt) {
  return "/quota/" + (salt.empty() ? "_default" : escaped(salt));
}

Outcome outcome_of(std::string title, const Json& answer,
                   std::initializer_list<std::pair<const char*, const char*>> fields) {
  Outcome outcome{Report(std::move(title))};
  for (const auto& [key, label] : fields) outcome.report.add(key, label, answer.value(key, Json()));
  return outcome;
}

}  // namespace

Result<Outcome> set_quota(const Target& target, const std::string& salt, double limit_gb) {
  const auto answer = target.json(verb::put, path_of(salt), {{"limit_gb", limit_gb}});
  if (!answer) return answer.error();
  Outcome outcome =
      outcome_of("Quota Set", *answer,
                 {{"cache_salt", "Cache salt"}, {"limit_gb", "Limit (GB)"}, {"status", "Status"}});
  const auto status = target.json(verb::get, "/status");
  if (!status) return outcome;
  const Json policy = at(*status, {"storage_manager", "l1_eviction_controller", "eviction_policy"});
  if (policy.is_string() && policy != "IsolatedLRU")
    outcome.report.add(
        "warning", "Warning",
        "not enforced by --eviction-policy " + policy.get<std::string>() + "; IsolatedLRU does");
  return outcome;
}

Result<Outcome> get_quota(const Target& target, const std::string& salt) {
  const auto answer = target.json(verb::get, path_of(salt));
  if (!answer) return answer.error();
  return outcome_of("Quota Info", *answer,
                    {{"cache_salt", "Cache salt"},
                     {"limit_gb", "Limit (GB)"},
                     {"current_usage_gb", "Current usage (GB)"},
                     {"exists", "Exists"}});
}

Result<Outcome> delete_quota(const Target& target, const std::string& salt) {
  const auto answer = target.json(verb::delete_, path_of(salt));
  if (!answer) return answer.error();
  return outcome_of("Quota Delete", *answer, {{"cache_salt", "Cache salt"}, {"status", "Status"}});
}

Result<Outcome> list_quotas(const Target& target) {
  const auto answer = target.json(verb::get, "/quota");
  if (!answer) return answer.error();
  Outcome outcome{Report("Quota List")};
  const Json users = answer->value("users", Json::object());
  if (users.empty()) outcome.report.add("info", "Info", "No quotas configured");
  for (const auto& [salt, user] : users.items()) {
    outcome.report.section("quotas", "Salt: " + salt);
    outcome.report.add("cache_salt", "Cache salt", salt);
    outcome.report.add("limit_gb", "Limit (GB)", user.value("limit_gb", Json()));
    outcome.report.add("current_usage_gb", "Current usage (GB)",
                       user.value("current_usage_gb", Json()));
  }
  return outcome;
}

}  // namespace lmcache::commands
