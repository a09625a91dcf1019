#include "commands/http_client.hpp"

#include "load/client.hpp"

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>

#include <vector>

namespace lmcache::commands {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using Stream = boost::beast::basic_stream<asio::generic::stream_protocol>;
using Address = asio::generic::stream_protocol::endpoint;
using Code = boost::system::error_code;

constexpr std::uint64_t kReplyBytesMax = 256ull << 20;

Error no_reply(const Endpoint& endpoint, const Code& code, const char* failure) {
  const bool late = code == boost::beast::error::timeout || code == asio::error::timed_out;
  // A unix socket that is not there is as good as one where nobody listens.
  const bool nobody = code == asio::error::connection_refused ||
                      code == boost::system::errc::no_such_file_or_directory;
  return {late     ? Cause::kTimeout
          : nobody ? Cause::kNotServed
                   : Cause::kMalformed,
          std::string(late ? "no answer in time from" : failure) + " " + endpoint.url + ": " +
              code.message()};
}

constexpr const char* kCannotConnect = "cannot connect to";
constexpr const char* kNoHttp = "no HTTP answer from";

Result<std::vector<Address>> addresses_of(const Endpoint& endpoint) {
  if (!endpoint.path.empty())
    return std::vector<Address>{asio::local::stream_protocol::endpoint(endpoint.path)};
  asio::io_context context;
  asio::ip::tcp::resolver resolver(context);
  Code code;
  const auto found = resolver.resolve(endpoint.host, endpoint.port, code);
  if (code) return no_reply(endpoint, code, kCannotConnect);
  std::vector<Address> addresses;
  for (const auto& entry : found) addresses.emplace_back(entry.endpoint());
  return addresses;
}

/// Runs one asynchronous step to its end, so that the stream's time limit holds for it.
template <class Start>
Code step(asio::io_context& context, Start start) {
  Code result;
  start([&](const Code& code, auto...) { result = code; });
  context.restart();
  context.run();
  return result;
}

Result<HttpReply> exchange(asio::io_context& context, Stream& stream, const Endpoint& endpoint,
                           const HttpRequest& asked) {
  http::request<http::string_body> request{asked.verb, asked.target, 11};
  request.set(http::field::host, endpoint.path.empty() ? endpoint.host : "localhost");
  if (!asked.token.empty()) request.set(http::field::authorization, "Bearer " + asked.token);
  if (!asked.accept.empty()) request.set(http::field::accept, asked.accept);
  if (!asked.body.empty()) request.set(http::field::content_type, "application/json");
  request.body() = asked.body;
  request.prepare_payload();
  request.keep_alive(false);
  Code code = step(context, [&](auto done) { http::async_write(stream, request, done); });
  if (code) return no_reply(endpoint, code, kNoHttp);
  boost::beast::flat_buffer buffer;
  http::response_parser<http::string_body> parser;
  parser.body_limit(kReplyBytesMax);
  code = step(context, [&](auto done) { http::async_read(stream, buffer, parser, done); });
  if (code) return no_reply(endpoint, code, kNoHttp);
  return HttpReply{parser.get().result_int(), std::move(parser.get().body())};
}

}  // namespace

Result<Endpoint> parse_url(std::string url) {
  Endpoint endpoint;
  while (url.size() > 1 && url.ends_with('/')) url.pop_back();
  endpoint.url = url;
  if (url.starts_with("unix:")) {
    endpoint.path = url.substr(5);
    if (!endpoint.path.empty() && endpoint.path.size() < 108) return endpoint;
  } else {
    if (url.find("://") == std::string::npos) endpoint.url = std::string("http://").append(url);
    const std::string rest = endpoint.url.substr(std::min(endpoint.url.size(), std::size_t{7}));
    const bool bracketed = rest.starts_with('[');
    const std::size_t close = bracketed ? rest.find(']') : 0;
    const std::size_t colon = rest.find(':', close == std::string::npos ? 0 : close);
    endpoint.host = rest.substr(0, colon);
    if (bracketed && close != std::string::npos) endpoint.host = rest.substr(1, close - 1);
    if (colon != std::string::npos) endpoint.port = rest.substr(colon + 1);
    if (endpoint.url.starts_with("http://") && !endpoint.host.empty() &&
        load::is_port(endpoint.port) && rest.find('/') == std::string::npos)
      return endpoint;
  }
  return Error{Cause::kMalformed, "'" + url +
                                      "' is not allowed; allowed: http://HOST:PORT, a port "
                                      "up to 65535, or unix:/PATH"};
}

Result<HttpReply> ask(const Endpoint& endpoint, const HttpRequest& request) {
  const auto addresses = addresses_of(endpoint);
  if (!addresses) return addresses.error();
  asio::io_context context;
  Code code = asio::error::host_not_found;
  for (const Address& address : *addresses) {
    Stream stream(context);
    stream.expires_after(request.timeout);
    code = step(context, [&](auto done) { stream.async_connect(address, done); });
    if (!code) return exchange(context, stream, endpoint, request);
  }
  return no_reply(endpoint, code, kCannotConnect);
}

std::string escaped(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_' || c == '.' || c == '~';
    if (plain) {
      out += c;
    } else {
      out += '%';
      out += kDigits[byte >> 4];
      out += kDigits[byte & 15];
    }
  }
  return out;
}

}  // namespace lmcache::commands
