// Many threads on one small pool; the sanitizers are the judge, and what is left must add up.
#include <random>
#include <thread>

#include "unit/cache/cache_fixture.hpp"

namespace lmcache::test {
namespace {

void work(Cache& cache, unsigned seed) {
  std::mt19937 random(seed);
  const Side side = with_layout(layout_of(1, {-1, 1}));
  for (int i = 0; i < 300; ++i) {
    const auto chain = chain_of(random() % 6, random() % 8 + 1);
    switch (random() % 9) {
      case 0:
        cache.evict_above_watermark();
        break;
      case 1:
        cache.touch(side.keyspace, chain);
        break;
      case 2:
        if (random() % 20 == 0) cache.clear(random() % 2 == 0);
        break;
      case 7:
        static_cast<void>(cache.remove(
            {{side.keyspace, chain.back(), 0, static_cast<std::uint32_t>(random() % 2)}},
            random() % 2 == 0));
        break;
      case 3:
      case 4:
        store(cache, side, chain, static_cast<std::uint32_t>(random() % chain.size()));
        break;
      default: {
        Lease lease = lookup(cache, side, chain);
        if (auto read = cache.open_read(lease, 0, side.layout, 0, lease.chunks())) {
          lease = Lease();
          expect_own_bytes(*read, side, chain);
        }
      }
    }
  }
}

TEST(Threads, ShareOneCache) {
  const Pool pool(40);
  Cache cache(pool.memory(), {.trigger_watermark = 0.8});
  std::vector<std::thread> threads;
  for (unsigned seed = 1; seed <= 4; ++seed) threads.emplace_back(work, std::ref(cache), seed);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(cache.stats().pinned_chunks, 0u);
  EXPECT_EQ(cache.stats().reserved_bytes, 0u);
  EXPECT_GT(cache.stats().evicted_bytes_for[static_cast<std::size_t>(EvictionReason::kWatermark)],
            0u);
  cache.clear(false);
  expect_empty(cache);
}

}  // namespace
}  // namespace lmcache::test
