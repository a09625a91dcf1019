// Which handler answers which method and path, and the OpenAPI document of all of them.
#pragma once

#include "admin/http.hpp"

#include <functional>
#include <string>
#include <variant>
#include <vector>

namespace lmcache::admin {

using Handler = std::function<Response(const Request&)>;

/// Where a handler runs. Anything that takes a lock which serving holds, or takes long, is kSlow:
/// one thread of its own, so that health and metrics are answered meanwhile.
enum class Lane : std::uint8_t { kQuick, kSlow };

/// What the OpenAPI document says of a query parameter.
struct Parameter {
  std::string name;
  Json schema;  ///< JSON Schema
  bool required = false;
};

struct Route {
  Verb verb = Verb::get;
  std::string pattern;  ///< "/quota/{cache_salt}": a place is one path segment, or the rest if last
  std::string summary;
  Handler handler;
  Lane lane = Lane::kQuick;
  bool open = false;  ///< answered without the token, where one is required
  std::vector<Parameter> query = {};
  Json body = nullptr;                                         ///< JSON Schema; null: none is read
  std::vector<std::pair<unsigned, std::string>> answers = {};  ///< statuses beside 200
  bool succeeds = true;                                        ///< 200 is one of them
  bool needs_body = false;                                     ///< without one it is refused
};

class Router {
 public:
  void add(Route route) { routes_.push_back(std::move(route)); }
  [[nodiscard]] const std::vector<Route>& routes() const noexcept { return routes_; }

  /// The route for a request, whose places it fills, or the answer why there is none: 404, 405 with
  /// Allow, or 307 where the path has but slashes too many at its end, as FastAPI does. Whoever
  /// asks for HEAD finds the route of GET, and leaves the body out.
  [[nodiscard]] std::variant<const Route*, Response> find(Request& request) const;

  [[nodiscard]] Json openapi() const;

 private:
  [[nodiscard]] Response not_there(const Request& request) const;

  std::vector<Route> routes_;
};

}  // namespace lmcache::admin
