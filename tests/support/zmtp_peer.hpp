// Bytes a ZMTP peer sends, written out by hand and independent of the writer under test.
#pragma once

#include "wire/message.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lmcache::test {

inline std::string greeting(char major = 3, char minor = 1, std::string_view mechanism = "NULL") {
  std::string out{"\xff\0\0\0\0\0\0\0\x01\x7f", 10};
  out += major;
  out += minor;
  out += mechanism;
  out.resize(64, '\0');
  return out;
}

inline std::string length64(std::uint64_t length) {
  std::string out;
  for (int shift = 56; shift >= 0; shift -= 8) out += static_cast<char>(length >> shift);
  return out;
}

/// A frame with the given flags (1 more, 2 long, 4 command); long form when asked for or needed.
inline std::string frame(std::string_view body, int flags = 0) {
  if (body.size() > 255) flags |= 2;
  std::string out(1, static_cast<char>(flags));
  if ((flags & 2) != 0) {
    out += length64(body.size());
  } else {
    out += static_cast<char>(body.size());
  }
  return out.append(body);
}

inline std::string command(std::string_view name, std::string_view data = {}) {
  std::string body(1, static_cast<char>(name.size()));
  return frame(body.append(name).append(data), 4);
}

inline std::string property(std::string_view name, std::string_view value) {
  std::string out(1, static_cast<char>(name.size()));
  out += name;
  out += length64(value.size()).substr(4);
  return out.append(value);
}

inline std::string ready(std::string_view identity = {}, std::string_view type = "DEALER") {
  return command("READY", property("Socket-Type", type) + property("Identity", identity));
}

inline std::string handshake(std::string_view identity = {}) {
  return greeting() + ready(identity);
}

inline std::string_view text(wire::ByteView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

inline wire::Bytes bytes(std::string_view text) {
  const auto* begin = reinterpret_cast<const std::byte*>(text.data());
  return {begin, begin + text.size()};
}

/// Valid as long as `frames` is.
inline std::vector<wire::ByteView> views(const std::vector<wire::Bytes>& frames) {
  return {frames.begin(), frames.end()};
}

}  // namespace lmcache::test
