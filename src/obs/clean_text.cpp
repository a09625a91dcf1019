#include "obs/clean_text.hpp"

#include <algorithm>

namespace lmcache::obs {

std::string clean_text(std::string_view text, std::size_t max_bytes) {
  const bool cut = text.size() > max_bytes;
  std::string clean{text.substr(0, cut ? max_bytes - 3 : text.size())};
  std::replace_if(
      clean.begin(), clean.end(), [](char c) { return c < 0x20 || c > 0x7e; }, '?');
  if (cut) clean += "...";
  return clean;
}

}  // namespace lmcache::obs
