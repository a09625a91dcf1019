#include "cache/policy.hpp"

#include <array>
#include <string>
#include <utility>

#include "cache/arc.hpp"
#include "cache/gittins.hpp"
#include "cache/isolated_lru.hpp"
#include "cache/lfu.hpp"
#include "cache/lru.hpp"
#include "cache/noop.hpp"
#include "cache/s3fifo.hpp"
#include "cache/wtinylfu.hpp"

namespace lmcache::cache {
namespace {

template <class P>
std::unique_ptr<Policy> make() {
  return std::make_unique<P>();
}

using Maker = std::unique_ptr<Policy> (*)();
constexpr std::array<std::pair<std::string_view, Maker>, 8> kPolicies{{
    {"LRU", make<Lru>},
    {"LFU", make<Lfu>},
    {"ARC", make<Arc>},
    {"S3FIFO", make<S3Fifo>},
    {"WTINYLFU", make<WTinyLfu>},
    {"GITTINS", make<Gittins>},
    {"IsolatedLRU", make<IsolatedLru>},
    {"noop", make<Noop>},
}};

}  // namespace

std::string_view policy_names() noexcept {
  return "LRU, LFU, ARC, S3FIFO, WTINYLFU, GITTINS, IsolatedLRU, noop";
}

Result<std::unique_ptr<Policy>> make_policy(std::string_view name) {
  for (const auto& [known, maker] : kPolicies)
    if (name == known) return maker();
  return Error{Cause::kMalformed, "no eviction policy is called '" + std::string(name) +
                                      "'; there are " + std::string(policy_names())};
}

}  // namespace lmcache::cache
