// Who may ask: the bearer token, and no web page of another origin.
#pragma once

#include "admin/http.hpp"

#include <optional>
#include <string_view>

namespace lmcache::admin {

/// The headers that decide. Views into the request.
struct Credentials {
  std::string_view authorization = {}, origin = {}, host = {};
};

/// The refusal, or nothing. `token` empty: none is asked for. `open`: the route is answered without
/// one. The comparison takes the same time wherever the texts differ.
[[nodiscard]] std::optional<Response> check(const Credentials& given, std::string_view token,
                                            bool open, Verb verb);

}  // namespace lmcache::admin
