#include "commands/command.hpp"

#include "obs/clean_text.hpp"

namespace lmcache::commands {
namespace {

/// What a refusal says: {"error"}, {"detail"} or {"reason"}, else the body itself.
std::string words_of(const HttpReply& reply) {
  const Json body = Json::parse(reply.body, nullptr, false);
  for (const char* name : {"error", "reason", "detail"})
    if (body.is_object() && body.contains(name))
      return body[name].is_string() ? body[name].get<std::string>() : body[name].dump();
  return reply.body;
}

}  // namespace

Result<Json> Target::json(boost::beast::http::verb verb, const std::string& target,
                          const Json& body) const {
  const auto reply =
      ask(endpoint, {verb, target, body.is_null() ? "" : body.dump(), token, timeout});
  if (!reply) return reply.error();
  if (reply->status < 200 || reply->status > 299) {
    std::string text = "HTTP " + std::to_string(reply->status) + " from " + endpoint.url + target;
    return Error{Cause::kNotServed, text.append(": ").append(obs::clean_text(words_of(*reply)))};
  }
  Json parsed = Json::parse(reply->body, nullptr, false);
  if (parsed.is_discarded())
    return Error{Cause::kMalformed, "the answer of " + endpoint.url + target + " is not JSON"};
  return Result<Json>(boost::system::in_place_value, std::move(parsed));
}

}  // namespace lmcache::commands
