// However an object ends, obs::Lives hears of it once.
#include <gtest/gtest.h>

#include <utility>

#include "cache/sample_key.hpp"
#include "obs/metrics.hpp"
#include "unit/cache/cache_fixture.hpp"

namespace lmcache::test {
namespace {

class SampledLives : public testing::Test {
 protected:
  SampledLives() { lives_.sample(1); }
  ~SampledLives() override { lives_.sample(0); }

  /// As the engine does with its stores.
  void store_and_tell(std::span<const ChunkHash> chain) {
    ASSERT_TRUE(store(cache_, side_, chain));
    for (const ChunkHash& hash : chain)
      for (std::uint32_t group = 0; group < side_.layout->groups.size(); ++group)
        lives_.written(
            cache::sample_key(cache::sample_key(side_.keyspace, hash, side_.rank), group),
            obs::Lives::Clock::now());
  }
  /// Lives that have ended since the last call.
  std::uint64_t ended() {
    std::uint64_t all = 0;
    for (std::size_t i = 0; i < decltype(lives_.lifetime)::kBuckets; ++i)
      all += lives_.lifetime.bucket(i);
    return all - std::exchange(seen_, all);
  }

  obs::Lives& lives_ = obs::metrics().lives;
  std::uint64_t seen_ = 0;
  Pool pool_{16};
  Cache cache_{pool_.memory(), {}};
  Side side_{{"sampled", "salt", 2}, 1, layout_of(1, {-1, 1})};
};

TEST_F(SampledLives, EndWithEvictionClearAndDeletion) {
  static_cast<void>(ended());
  const auto chain = chain_of(1, 4);
  store_and_tell(chain);
  EXPECT_EQ(ended(), 0u);
  EXPECT_EQ(cache_.remove({{side_.keyspace, chain[1], 1, 1}}, false).removed, 1u);
  EXPECT_EQ(ended(), 1u);
  EXPECT_EQ(cache_.remove({{side_.keyspace, chain[3], 1, 0}}, false).removed, 1u);
  EXPECT_EQ(ended(), 2u);
  cache_.clear(false);
  EXPECT_EQ(ended(), 5u);
  store_and_tell(chain);
  const CacheStats before = cache_.stats();
  ASSERT_TRUE(store(cache_, side_, chain_of(2, 7)));
  const CacheStats after = cache_.stats();
  EXPECT_GT(after.thinned_objects, before.thinned_objects);
  EXPECT_EQ(ended(), after.evicted_objects - before.evicted_objects);
}

TEST_F(SampledLives, EndForWhatIsClearedByForceWithItsLastPin) {
  static_cast<void>(ended());
  side_.keyspace.world_size = 1;
  side_.rank = 0;
  const auto chain = chain_of(3, 2);
  store_and_tell(chain);
  Lease lease = lookup(cache_, side_, chain);
  ASSERT_EQ(lease.chunks(), 2u);
  cache_.clear(true);
  EXPECT_EQ(ended(), 0u);
  lease = Lease();
  EXPECT_EQ(ended(), 4u);
}

}  // namespace
}  // namespace lmcache::test
