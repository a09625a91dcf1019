#include "admin/options.hpp"

#include <algorithm>
#include <fstream>

namespace lmcache::admin {
namespace {

Result<std::string> read_token(const std::string& path) {
  std::ifstream file(path);
  std::string token;
  if (!file || !std::getline(file, token)) {
    return Error{Cause::kMalformed, "cannot read a token from --http-token-file '" + path +
                                        "'; it must be a readable file with one line"};
  }
  const bool printable = std::ranges::all_of(token, [](char c) { return c > 0x20 && c < 0x7f; });
  if (!printable || token.size() < 16 || token.size() > 4096) {
    return Error{Cause::kMalformed,
                 "the token in --http-token-file '" + path +
                     "' must have 16 to 4096 printable characters without spaces; make one with "
                     "`openssl rand -hex 32`"};
  }
  return token;
}

}  // namespace

Result<HttpOptions> HttpOptions::from(const ServerConfig& config) {
  HttpOptions out;
  out.host = config.http_host;
  out.port = config.http_port;
  out.tcp = config.http_tcp;
  out.socket_path = config.http_socket;
  out.max_connections = config.http_max_connections;
  out.timeout = config.http_timeout;
  if (!config.http_token_file.empty()) {
    auto token = read_token(config.http_token_file);
    if (!token) return token.error();
    out.token = std::move(*token);
  }
  return out;
}

}  // namespace lmcache::admin
