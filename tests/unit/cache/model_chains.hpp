// What the random histories against naive models have in common. All seeds are fixed.
#pragma once

#include <random>
#include <vector>

#include "unit/cache/cache_fixture.hpp"

namespace lmcache::test {

using Random = std::mt19937;

inline std::uint32_t below(Random& random, std::size_t n) {
  return static_cast<std::uint32_t>(random() % n);
}

/// Ten sequences that share beginnings of different lengths, like turns of a few conversations.
inline std::vector<ChunkHash> some_chain(Random& random, std::size_t longest) {
  static constexpr std::size_t kShared[] = {0, 2, 2, 4, 6, 0, 1, 1, 3, 8};
  const std::uint64_t which = random() % 10;
  std::vector<ChunkHash> chain = chain_of(which < 5 ? 100 : 200, longest);
  const std::vector<ChunkHash> own = chain_of(which, longest);
  for (std::size_t i = kShared[which]; i < longest; ++i) chain[i] = own[i];
  chain.resize(random() % longest + 1);
  return chain;
}

/// All that evict.
inline constexpr const char* kPolicies[] = {"LRU",      "LFU",     "ARC",        "S3FIFO",
                                            "WTINYLFU", "GITTINS", "IsolatedLRU"};

}  // namespace lmcache::test
