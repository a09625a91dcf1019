// Random histories of windowed objects in a pool that is always too small.
#include <gmock/gmock.h>

#include <tuple>

#include "unit/cache/model_chains.hpp"

namespace lmcache::test {
namespace {

/// Windowed objects come and go by themselves here. What must hold whatever goes: the full groups
/// have no holes, a hit can be read to its end while its lease lives, and a store that has been
/// committed can be hit to its end.
class WindowedModel {
 public:
  WindowedModel(const char* policy, unsigned seed)
      : random_(seed), cache_(pool_.memory(), {.policy = policy, .trigger_watermark = 0.8}) {}

  void step() {
    switch (below(random_, 8)) {
      case 0:
      case 1:
      case 2:
        return store_some();
      case 3:
        cache_.evict_above_watermark();
        if (below(random_, 20) == 0) cache_.clear(below(random_, 2) == 0);
        return;
      case 4:
        if (!leases_.empty()) leases_.erase(leases_.begin() + below(random_, leases_.size()));
        return;
      default:
        return look_up();
    }
  }

  /// Every lease that clear(force) has not come across is still good for what it was given for.
  void check() {
    for (const OpenLease& open : leases_) {
      const std::uint32_t length = open.lease.chunks();
      if (length == 0) continue;
      const auto read = cache_.open_read(open.lease, 0, side_.layout, 0, length);
      ASSERT_TRUE(read) << read.error().text;
      expect_own_bytes(*read, side_, open.chain);
    }
    const CacheStats stats = cache_.stats();
    ASSERT_EQ(stats.used_bytes, stats.objects * kUnit + stats.reserved_bytes);
    ASSERT_EQ(cache_.tenant("").used_bytes, stats.used_bytes);
  }

  void finish() {
    leases_.clear();
    const CacheStats stats = cache_.stats();
    EXPECT_GT(stats.thinned_objects, 200u);
    EXPECT_GT(stats.evicted_objects, stats.thinned_objects + 100);
    EXPECT_GT(stats.window_lost_chunks, 20u);
    EXPECT_GT(hits_, 100u);
    EXPECT_GT(stats.evicted_bytes_for[static_cast<std::size_t>(EvictionReason::kWatermark)], 0u);
    cache_.clear(false);
    expect_empty(cache_);
  }

 private:
  struct OpenLease {
    Lease lease;
    std::vector<ChunkHash> chain;
  };

  void store_some() {
    const auto chain = some_chain(random_, 14);
    const CacheStats before = cache_.stats();
    const std::uint32_t first = below(random_, 2) == 0 ? 0 : below(random_, chain.size());
    auto ticket = reserve(cache_, side_, chain, first);
    if (!ticket) {
      ASSERT_EQ(ticket.error().cause, Cause::kNoMemory);
      ASSERT_EQ(cache_.stats().evicted_objects, before.evicted_objects);
      return;
    }
    fill_objects(*ticket, side_, chain);
    cache_.commit(std::move(*ticket));
    if (first == 0) {
      ASSERT_EQ(hit(cache_, side_, chain), chain.size());
    }
  }

  void look_up() {
    OpenLease open{{}, some_chain(random_, 14)};
    const std::uint64_t lost = cache_.stats().window_lost_chunks;
    open.lease = lookup(cache_, side_, open.chain);
    hits_ += open.lease.chunks();
    // No hole: what is found of the whole is found of its beginning.
    const std::uint64_t full = open.lease.chunks() + cache_.stats().window_lost_chunks - lost;
    for (std::size_t n = 1; n <= full; ++n) {
      const std::uint64_t lost_before = cache_.stats().window_lost_chunks;
      const std::uint64_t found = hit(cache_, side_, std::span(open.chain).first(n));
      ASSERT_EQ(found + cache_.stats().window_lost_chunks - lost_before, n);
    }
    leases_.push_back(std::move(open));
    if (leases_.size() > 2) leases_.erase(leases_.begin());
  }

  Random random_;
  Pool pool_{45};
  Cache cache_;
  Side side_ = with_layout(layout_of(1, {-1, 2, 1}));
  std::vector<OpenLease> leases_;
  std::uint64_t hits_ = 0;
};

class Windowed : public testing::TestWithParam<std::tuple<const char*, unsigned>> {};

TEST_P(Windowed, ThinningKeepsItsPromises) {
  const auto [policy, seed] = GetParam();
  WindowedModel model(policy, seed);
  for (int i = 0; i < 3000; ++i) {
    ASSERT_NO_FATAL_FAILURE(model.step()) << "step " << i;
    ASSERT_NO_FATAL_FAILURE(model.check()) << "step " << i;
  }
  model.finish();
}

INSTANTIATE_TEST_SUITE_P(Seeds, Windowed,
                         testing::Combine(testing::ValuesIn(kPolicies), testing::Range(1u, 5u)));

}  // namespace
}  // namespace lmcache::test
