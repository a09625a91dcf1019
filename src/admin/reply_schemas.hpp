// What the OpenAPI document says of answers' bodies.
#pragma once

#include "admin/http.hpp"

#include <string>

namespace lmcache::admin {

/// The OpenAPI "content" of a route's answer with this status: media types and their JSON Schema.
/// Null where there is no body worth describing.
[[nodiscard]] Json reply_content(Verb verb, const std::string& pattern, unsigned status);

}  // namespace lmcache::admin
