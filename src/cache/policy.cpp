#include "cache/policy.hpp"

#include <string>

#include "cache/lru.hpp"
#include "cache/noop.hpp"

namespace lmcache::cache {

std::string_view policy_names() noexcept {
  return "LRU, noop";
}

Result<std::unique_ptr<Policy>> make_policy(std::string_view name) {
  if (name == "LRU") return std::unique_ptr<Policy>(std::make_unique<Lru>());
  if (name == "noop") return std::unique_ptr<Policy>(std::make_unique<Noop>());
  return Error{Cause::kMalformed, "no eviction policy is called '" + std::string(name) +
                                      "'; there are " + std::string(policy_names())};
}

}  // namespace lmcache::cache
