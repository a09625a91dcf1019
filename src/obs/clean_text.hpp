// What may be written to a log: printable ASCII of bounded length, whatever a peer put into it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace lmcache::obs {

inline constexpr std::size_t kMaxLogTextBytes = 300;

/// Every byte outside 0x20..0x7e becomes '?'; more than `max_bytes` are cut, the last three then
/// being dots. Control characters could forge a second line or drive the reader's terminal. Pre:
/// max_bytes >= 3.
[[nodiscard]] std::string clean_text(std::string_view text,
                                     std::size_t max_bytes = kMaxLogTextBytes);

}  // namespace lmcache::obs
