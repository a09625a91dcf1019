#include "app/flag_text.hpp"

namespace lmcache::app {

std::string left_side(const ServerFlag& flag) {
  if (!flag.value.empty()) return flag.name + " " + flag.value;
  return flag.negation.empty() ? flag.name : flag.name + ", " + flag.negation;
}

std::string fallback_of(const ServerFlag& flag) {
  return flag.fallback.empty() ? "empty" : flag.fallback;
}

std::string explain(const ServerFlag& flag) {
  const bool range = !flag.allowed.empty() && flag.allowed != flag.fallback;
  return flag.help + " (default " + fallback_of(flag) + (range ? "; " + flag.allowed : "") + ")";
}

std::string refused_names() {
  std::string names;
  for (const RefusedFlag& flag : refused_flags())
    names.append(names.empty() ? "" : " ").append(flag.names.front());
  return names;
}

}  // namespace lmcache::app
