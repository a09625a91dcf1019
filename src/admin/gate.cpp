#include "admin/gate.hpp"

#include <boost/beast/core/string.hpp>

namespace lmcache::admin {
namespace {

bool equal_in_constant_time(std::string_view a, std::string_view b) noexcept {
  if (a.size() != b.size()) return false;
  unsigned char differing = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    differing = static_cast<unsigned char>(differing | (a[i] ^ b[i]));
  return differing == 0;
}

bool bears(std::string_view authorization, std::string_view token) noexcept {
  constexpr std::string_view kScheme = "bearer ";  // in either case
  return boost::beast::iequals(authorization.substr(0, kScheme.size()), kScheme) &&
         equal_in_constant_time(authorization.substr(kScheme.size()), token);
}

}  // namespace

std::optional<Response> check(const Credentials& given, std::string_view token, bool open,
                              Verb verb) {
  if (!token.empty() && !open && !bears(given.authorization, token)) {
    Response refused = detail(401, "a bearer token is required: Authorization: Bearer TOKEN");
    refused.headers.emplace_back("WWW-Authenticate", "Bearer");
    return refused;
  }
  // A browser names the page a request comes from. A page of another origin must not change
  // anything behind its reader's back; it cannot read answers, no CORS header allows it to.
  if (verb != Verb::get && !given.origin.empty()) {
    const std::size_t slashes = given.origin.find("://");
    if (slashes == std::string_view::npos || given.origin.substr(slashes + 3) != given.host)
      return detail(403, "requests from web pages of another origin are refused");
  }
  return std::nullopt;
}

}  // namespace lmcache::admin
