#include "admin/router.hpp"

#include "admin/reply_schemas.hpp"

#include <lmcache/version.hpp>

#include <algorithm>
#include <map>
#include <optional>
#include <string_view>

namespace lmcache::admin {
namespace {

using Places = std::map<std::string, std::string>;

/// What stands at the places of `pattern`, if `path` is of that form. The last place takes the rest
/// of the path: a name may have slashes.
std::optional<Places> match(std::string_view pattern, std::string_view path) {
  Places places;
  while (!pattern.empty()) {
    if (pattern.front() != '{') {
      if (path.empty() || path.front() != pattern.front()) return std::nullopt;
      pattern.remove_prefix(1);
      path.remove_prefix(1);
      continue;
    }
    const std::size_t close = pattern.find('}');
    const std::string name(pattern.substr(1, close - 1));
    pattern.remove_prefix(close + 1);
    const std::size_t end = pattern.empty() ? path.size() : std::min(path.find('/'), path.size());
    if (end == 0) return std::nullopt;
    places[name] = path.substr(0, end);
    path.remove_prefix(end);
  }
  if (!path.empty()) return std::nullopt;
  return places;
}

Json places_of(const std::string& pattern) {
  Json out = Json::array();
  for (std::size_t at = pattern.find('{'); at != std::string::npos; at = pattern.find('{', at)) {
    const std::size_t close = pattern.find('}', at);
    out.push_back({{"name", pattern.substr(at + 1, close - at - 1)},
                   {"in", "path"},
                   {"required", true},
                   {"schema", {{"type", "string"}}}});
    at = close;
  }
  return out;
}

/// What connection.cpp and gate.cpp answer in a route's stead.
void add_common_answers(const Route& route, std::map<unsigned, std::string>& answers) {
  answers.try_emplace(400, "Not HTTP, or not a request target");
  answers.try_emplace(413, "The body is too large");
  answers.try_emplace(431, "The header is too large");
  if (route.lane == Lane::kSlow) answers.try_emplace(503, "Too many slow requests wait already");
  if (!route.open) answers.try_emplace(401, "Without the token that is asked for");
  if (route.verb != Verb::get) answers.try_emplace(403, "From a web page of another origin");
}

Json responses(const Route& route) {
  std::map<unsigned, std::string> answers(route.answers.begin(), route.answers.end());
  if (route.succeeds) answers.try_emplace(200, "Successful response");
  add_common_answers(route, answers);
  Json out = Json::object();
  for (const auto& [status, meaning] : answers) {
    Json& response = out[std::to_string(status)];
    response["description"] = meaning;
    if (Json content = reply_content(route.verb, route.pattern, status); !content.is_null())
      response["content"] = std::move(content);
  }
  return out;
}

Json operation(const Route& route) {
  Json out{{"summary", route.summary}};
  Json parameters = places_of(route.pattern);
  for (const Parameter& parameter : route.query)
    parameters.push_back({{"name", parameter.name},
                          {"in", "query"},
                          {"required", parameter.required},
                          {"schema", parameter.schema}});
  if (!parameters.empty()) out["parameters"] = std::move(parameters);
  if (!route.body.is_null()) {
    out["requestBody"]["required"] = route.needs_body;
    out["requestBody"]["content"]["application/json"]["schema"] = route.body;
  }
  out["responses"] = responses(route);
  if (route.open) out["security"] = Json::array();
  return out;
}

std::string lower(std::string_view text) {
  std::string out;
  for (const char c : text) out += static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  return out;
}

}  // namespace

Response Router::not_there(const Request& request) const {
  const std::string shorter = request.path.substr(0, request.path.find_last_not_of('/') + 1);
  const bool redirects =
      shorter.size() < request.path.size() &&
      std::ranges::any_of(routes_, [&](const Route& route) { return route.pattern == shorter; });
  if (!redirects) return detail(404, "Not Found");
  Response elsewhere = text("", 307);
  elsewhere.headers.emplace_back("Location", shorter + request.target_query);
  return elsewhere;
}

std::variant<const Route*, Response> Router::find(Request& request) const {
  std::string allowed;
  for (const Route& route : routes_) {
    auto places = match(route.pattern, request.path);
    if (!places) continue;
    if (route.verb == request.verb) {
      request.places = std::move(*places);
      return &route;
    }
    allowed += (allowed.empty() ? "" : ", ") + std::string(to_string(route.verb));
    if (route.verb == Verb::get) allowed += ", HEAD";
  }
  if (allowed.empty()) return not_there(request);
  Response refused = detail(405, "Method Not Allowed");
  refused.headers.emplace_back("Allow", allowed);
  return refused;
}

Json Router::openapi() const {
  Json out{{"openapi", "3.1.0"},
           {"info",
            {{"title", "LMCache HTTP API"},
             {"version", kVersion},
             {"description", "HEAD is answered wherever GET is, without the body"}}},
           {"security", {{{"token", Json::array()}}, Json::object()}},
           {"paths", Json::object()}};
  out["components"]["securitySchemes"]["token"] = {{"type", "http"}, {"scheme", "bearer"}};
  for (const Route& route : routes_)
    out["paths"][route.pattern][lower(to_string(route.verb))] = operation(route);
  return out;
}

}  // namespace lmcache::admin
