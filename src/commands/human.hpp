// Quantities as people read them.
#pragma once

#include <string>

namespace lmcache::commands {

/// printf's rules; at most 255 bytes.
[[nodiscard, gnu::format(printf, 1, 2)]] std::string format(const char* pattern, ...);

/// "850 us", "12.3 ms", "1.50 s".
[[nodiscard]] std::string duration_text(double seconds);
/// "3.0 MiB", "1.25 GiB".
[[nodiscard]] std::string bytes_text(double bytes);

}  // namespace lmcache::commands
