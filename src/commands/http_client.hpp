// One HTTP request to a server's admin port, for commands: synchronous, with a time limit.
#pragma once

#include <lmcache/status.hpp>

#include <boost/beast/http/verb.hpp>

#include <chrono>
#include <cstdint>
#include <string>

namespace lmcache::commands {

/// "http://host:port" (or without the scheme), or "unix:/path".
struct Endpoint {
  std::string host;
  std::string port = "80";
  std::string path;  ///< of a unix socket; empty: TCP
  std::string url;   ///< as it was given, with its scheme
};
/// kMalformed with what is allowed.
[[nodiscard]] Result<Endpoint> parse_url(std::string url);

struct HttpRequest {
  boost::beast::http::verb verb = boost::beast::http::verb::get;
  std::string target;
  std::string body;   ///< JSON, or empty
  std::string token;  ///< bearer token, or empty
  std::chrono::milliseconds timeout{10'000};
  std::string accept = {};  ///< media type, or empty
};
struct HttpReply {
  unsigned status = 0;
  std::string body;
};
/// The reply, whatever its status; an error if there was none, whose text names the URL: kNotServed
/// where nobody listens, kTimeout where nobody answers, kMalformed where no HTTP comes back or the
/// way there is not known.
[[nodiscard]] Result<HttpReply> ask(const Endpoint& endpoint, const HttpRequest& request);

/// Percent-encodes what may not stand in a path segment or query value.
[[nodiscard]] std::string escaped(std::string_view text);

}  // namespace lmcache::commands
