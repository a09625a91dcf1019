#include "commands/command.hpp"

#include <cmath>

namespace lmcache::commands {

Result<Outcome> ping(const Target& target, bool engine) {
  const auto begin = std::chrono::steady_clock::now();
  const auto reply =
      ask(target.endpoint, {boost::beast::http::verb::get, engine ? "/health" : "/healthcheck", "",
                            target.token, target.timeout});
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begin;
  std::string failure;
  if (!reply) {
    failure = reply.error().text;
  } else if (reply->status != 200) {
    const Json body = Json::parse(reply->body, nullptr, false);
    failure = "HTTP " + std::to_string(reply->status);
    if (body.is_object() && body.contains("reason")) failure += ": " + body["reason"].dump();
  }
  Outcome outcome{Report(engine ? "Ping Engine" : "Ping KV Cache")};
  outcome.report.add("status", "Status", failure.empty() ? "OK" : "FAIL");
  outcome.report.add("round_trip_time_ms", "Round trip time (ms)",
                     std::round(took.count() * 100) / 100);
  outcome.failure = std::move(failure);
  return outcome;
}

}  // namespace lmcache::commands
