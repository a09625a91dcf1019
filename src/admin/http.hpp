// A request and its answer as routes see them: no sockets, no Beast.
#pragma once

#include <boost/beast/http/verb.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lmcache::admin {

using Verb = boost::beast::http::verb;
using Json = nlohmann::ordered_json;

struct Request {
  Verb verb = Verb::get;                      ///< of HEAD too
  std::string path;                           ///< decoded, without the query
  std::map<std::string, std::string> query;   ///< decoded; of a repeated name the last value
  std::map<std::string, std::string> places;  ///< what stood at "{name}" of the route's pattern
  std::string body;
  std::string accept = {};        ///< that header
  std::string target_query = {};  ///< the query as it came, from its question mark on
};

struct Response {
  unsigned status = 200;
  std::string type = "application/json";
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers = {};
};

/// Bytes that are not UTF-8 become U+FFFD: a model's name may be anything.
[[nodiscard]] Response json(const Json& value, unsigned status = 200, int indent = -1);
[[nodiscard]] Response text(std::string body, unsigned status = 200);
/// {"detail": text}: how the reference's framework tells a failure.
[[nodiscard]] Response detail(unsigned status, std::string_view text);
/// {"error": text}: how the reference's older endpoints do.
[[nodiscard]] Response error(unsigned status, std::string_view text);

/// Two lower-case digits for each byte.
[[nodiscard]] std::string hex_text(std::span<const std::byte> bytes);
/// The other way round, in either case; false if the text is not two digits for each byte.
[[nodiscard]] bool parse_hex(std::string_view text, std::span<std::byte> bytes);

/// Splits and decodes a request target; false if it is not a path with an optional query, on its
/// own or, as a proxy is asked, behind "http://HOST".
[[nodiscard]] bool parse_target(std::string_view target, Request& request);

}  // namespace lmcache::admin
