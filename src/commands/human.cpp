#include "commands/human.hpp"

#include <array>
#include <cstdarg>
#include <cstdio>

namespace lmcache::commands {

std::string format(const char* pattern, ...) {
  std::array<char, 256> text{};
  std::va_list values;
  va_start(values, pattern);
  std::vsnprintf(text.data(), text.size(), pattern, values);
  va_end(values);
  return text.data();
}

std::string duration_text(double seconds) {
  if (seconds < 1e-3) return format("%.0f us", seconds * 1e6);
  if (seconds < 1) return format("%.1f ms", seconds * 1e3);
  return format("%.2f s", seconds);
}

std::string bytes_text(double bytes) {
  constexpr double kMib = 1024.0 * 1024.0, kGib = 1024.0 * kMib;
  return bytes < kGib ? format("%.1f MiB", bytes / kMib) : format("%.2f GiB", bytes / kGib);
}

}  // namespace lmcache::commands
