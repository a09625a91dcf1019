#include "admin/http.hpp"

#include <boost/beast/core/string.hpp>

#include <optional>

namespace lmcache::admin {
namespace {

std::optional<unsigned> hex(char c) {
  if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a' + 10);
  if (c >= 'A' && c <= 'F') return static_cast<unsigned>(c - 'A' + 10);
  return std::nullopt;
}

/// Percent-decoding; a NUL or a broken escape is nothing anybody means.
std::optional<std::string> decode(std::string_view text, bool plus_is_space) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%') {
      if (i + 2 >= text.size()) return std::nullopt;
      const auto high = hex(text[i + 1]), low = hex(text[i + 2]);
      if (!high || !low || (*high == 0 && *low == 0)) return std::nullopt;
      out += static_cast<char>(*high * 16 + *low);
      i += 2;
    } else {
      out += text[i] == '+' && plus_is_space ? ' ' : text[i];
    }
  }
  return out;
}

/// Of "http://HOST/PATH" the path; nothing of an address without a host.
std::string_view without_host(std::string_view target) {
  constexpr std::string_view kScheme = "http://";
  if (!boost::beast::iequals(target.substr(0, kScheme.size()), kScheme)) return target;
  const std::size_t end = target.find_first_of("/?", kScheme.size());
  if (end == kScheme.size() || target.size() == kScheme.size()) return "";
  return end == std::string_view::npos ? "/" : target.substr(end);
}

}  // namespace

Response json(const Json& value, unsigned status, int indent) {
  return {status, "application/json",
          value.dump(indent, ' ', false, Json::error_handler_t::replace)};
}

Response text(std::string body, unsigned status) {
  return {status, "text/plain; charset=utf-8", std::move(body)};
}

Response detail(unsigned status, std::string_view text) {
  return json({{"detail", text}}, status);
}

Response error(unsigned status, std::string_view text) {
  return json({{"error", text}}, status);
}

std::string hex_text(std::span<const std::byte> bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  for (const std::byte byte : bytes) {
    out += kDigits[std::to_integer<unsigned>(byte) >> 4];
    out += kDigits[std::to_integer<unsigned>(byte) & 15];
  }
  return out;
}

bool parse_hex(std::string_view text, std::span<std::byte> bytes) {
  if (text.size() != 2 * bytes.size()) return false;
  for (std::byte& byte : bytes) {
    const auto high = hex(text[0]), low = hex(text[1]);
    if (!high || !low) return false;
    byte = static_cast<std::byte>(*high * 16 + *low);
    text.remove_prefix(2);
  }
  return true;
}

bool parse_target(std::string_view target, Request& request) {
  target = without_host(target);
  if (!target.starts_with('/')) return false;
  const std::size_t question = target.find('?');
  const auto path = decode(target.substr(0, question), false);
  if (!path) return false;
  request.path = *path;
  request.target_query = question == std::string_view::npos ? "" : target.substr(question);
  std::string_view rest = question == std::string_view::npos ? "" : target.substr(question + 1);
  while (!rest.empty()) {
    const std::string_view pair = rest.substr(0, rest.find('&'));
    rest.remove_prefix(std::min(rest.size(), pair.size() + 1));
    const std::size_t equals = std::min(pair.find('='), pair.size());
    const auto name = decode(pair.substr(0, equals), true);
    const auto value = decode(pair.substr(std::min(pair.size(), equals + 1)), true);
    if (!name || !value) return false;
    if (!name->empty()) request.query[*name] = *value;
  }
  return true;
}

}  // namespace lmcache::admin
