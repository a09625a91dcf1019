// /loglevel. Reading is a GET, changing a PUT; the reference's GET that changes is refused, because
// a GET must be safe to repeat, prefetch and probe.
#include "admin/input.hpp"
#include "admin/routes.hpp"
#include "obs/log.hpp"

#include <algorithm>
#include <array>

namespace lmcache::admin {
namespace {

constexpr std::string_view kLogger = "lmcache";

/// Names as the reference, whose logging is Python's, spells them.
struct LevelName {
  std::string_view name;
  obs::Level level;
};
constexpr std::array<LevelName, 6> kLevels{{{"DEBUG", obs::Level::kDebug},
                                            {"INFO", obs::Level::kInfo},
                                            {"WARNING", obs::Level::kWarn},
                                            {"ERROR", obs::Level::kError},
                                            {"WARN", obs::Level::kWarn},
                                            {"CRITICAL", obs::Level::kError}}};

std::string upper(std::string text) {
  for (char& c : text) c = static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  return text;
}

std::string level_names() {
  std::string out;
  for (const LevelName& row : kLevels) out.append(out.empty() ? "" : ", ").append(row.name);
  return out;
}

std::string level_of_now() {
  const auto* row = std::ranges::find(kLevels, obs::log_options().level, &LevelName::level);
  return std::string(kLogger) + ": " + std::string(row->name);
}

Response read_level(const Request& request) {
  Input input(request);
  const std::string logger = input.query_text("logger_name");
  if (!input.query_text("level").empty()) {
    Response refused =
        text("A GET does not change the level; use PUT /loglevel?level=LEVEL\n", 405);
    refused.headers.emplace_back("Allow", "GET, HEAD, PUT");
    return refused;
  }
  if (logger.empty()) return text("=== Loggers and Levels ===\n" + level_of_now() + "\n");
  if (logger != kLogger) return text("There is one logger: lmcache\n", 404);
  return text(level_of_now());
}

Response change_level(const Request& request) {
  Input input(request);
  const std::string logger = input.query_text("logger_name", std::string(kLogger));
  const std::string name = input.required_query_text("level");
  if (auto refusal = input.refusal()) return *refusal;
  const auto* row = std::ranges::find(kLevels, upper(name), &LevelName::name);
  if (row == kLevels.end())
    return text("Invalid log level: " + name + "; allowed: " + level_names(), 400);
  if (logger != kLogger) return text("There is one logger: lmcache\n", 404);
  // Whatever the levels before and after: whoever reads the log must know why it ends or begins.
  obs::warn_at_every_level("log level changed", {{"level", row->name}});
  obs::set_log_level(row->level);
  return text(level_of_now());
}

}  // namespace

void add_log_routes(Router& router) {
  const Parameter logger{"logger_name", {{"type", "string"}, {"enum", {kLogger}}}};
  Json levels = Json::array();
  for (const LevelName& row : kLevels) levels.push_back(row.name);
  const Json schema{{"type", "string"}, {"enum", levels}, {"description", "in either case"}};
  router.add({.verb = Verb::get,
              .pattern = "/loglevel",
              .summary = "The least level that is logged",
              .handler = read_level,
              .query = {{"level", schema}, logger},
              .answers = {{404, "No such logger"}, {405, "A level was given"}}});
  router.add({.verb = Verb::put,
              .pattern = "/loglevel",
              .summary = "Changes it until the server ends",
              .handler = change_level,
              .query = {{"level", schema, true}, logger},
              .answers = {{400, "No such level"}, {404, "No such logger"}, kWrongForm}});
}

}  // namespace lmcache::admin
