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

Result<std::string> ask_for(const Target& from, boost::beast::http::verb verb,
                            const std::string& target, std::string body,
                            const std::string& accept = {}) {
  auto reply =
      ask(from.endpoint, {verb, target, std::move(body), from.token, from.timeout, accept});
  if (!reply) return reply.error();
  if (reply->status >= 200 && reply->status <= 299) return std::move(reply->body);
  std::string text =
      "HTTP " + std::to_string(reply->status) + " from " + from.endpoint.url + target;
  return Error{Cause::kNotServed, text.append(": ").append(obs::clean_text(words_of(*reply)))};
}

}  // namespace

Result<std::string> Target::text(const std::string& target, const std::string& media_type) const {
  return ask_for(*this, boost::beast::http::verb::get, target, "", media_type);
}

Result<Json> Target::json(boost::beast::http::verb verb, const std::string& target,
                          const Json& body) const {
  const auto answer = ask_for(*this, verb, target, body.is_null() ? "" : body.dump());
  if (!answer) return answer.error();
  Json parsed = Json::parse(*answer, nullptr, false);
  if (parsed.is_discarded())
    return Error{Cause::kMalformed, "the answer of " + endpoint.url + target + " is not JSON"};
  return Result<Json>(boost::system::in_place_value, std::move(parsed));
}

}  // namespace lmcache::commands
