// Who gives when room is short, and that what is counted per tenant is what is there.
#include "cache/tenants.hpp"

#include <gmock/gmock.h>

#include <atomic>
#include <random>
#include <thread>

#include "unit/cache/cache_fixture.hpp"

namespace lmcache::test {
namespace {

using testing::HasSubstr;

Side tenant(const std::string& salt) {
  Side side;
  side.keyspace.salt = salt;
  return side;
}

class Isolated : public testing::Test {
 protected:
  std::uint64_t units_of(const std::string& salt) const {
    return cache_->tenant(salt).used_bytes / kUnit;
  }
  void make(std::map<std::string, TenantQuota> quotas) {
    cache_ = std::make_unique<Cache>(
        pool_.memory(), CacheOptions{.policy = "IsolatedLRU", .quotas = std::move(quotas)});
  }

  Pool pool_{40};
  std::unique_ptr<Cache> cache_;
  Side a_ = tenant("a"), b_ = tenant("b"), c_ = tenant("c");
};

TEST_F(Isolated, UsageCountsObjectsAndStoresUnderWay) {
  make({});
  ASSERT_TRUE(store(*cache_, a_, chain_of(1, 5)));
  EXPECT_EQ(units_of("a"), 5u);
  EXPECT_EQ(units_of("b"), 0u);
  {
    const auto ticket = reserve(*cache_, b_, chain_of(2, 3));
    EXPECT_EQ(units_of("b"), 3u);
  }
  EXPECT_EQ(units_of("b"), 0u);
  cache_->clear(false);
  EXPECT_EQ(units_of("a"), 0u);
}

TEST_F(Isolated, EvictionsAreCountedByCacheSalt) {
  make({{"evicted a", {0, 10 * kUnit}}});
  const Side limited = tenant("evicted a"), other = tenant("evicted b");
  ASSERT_TRUE(store(*cache_, other, chain_of(1, 10)));
  ASSERT_TRUE(store(*cache_, limited, chain_of(2, 8)));
  ASSERT_TRUE(store(*cache_, limited, chain_of(3, 8)));
  EXPECT_EQ(obs::metrics().l1.row({"evicted a"}).evicted_objects.value(),
            cache_->stats().evicted_objects);
  EXPECT_GT(cache_->stats().evicted_objects, 0u);
  EXPECT_EQ(obs::metrics().l1.row({"evicted b"}).evicted_objects.value(), 0u);
}

TEST_F(Isolated, ATenantAtItsMaximumEvictsItsOwn) {
  make({{"a", {0, 10 * kUnit}}});
  ASSERT_TRUE(store(*cache_, b_, chain_of(1, 10)));
  ASSERT_TRUE(store(*cache_, a_, chain_of(2, 8)));
  ASSERT_TRUE(store(*cache_, a_, chain_of(3, 8)));
  EXPECT_EQ(units_of("a"), 10u);
  EXPECT_EQ(hit(*cache_, b_, chain_of(1, 10)), 10u);
  EXPECT_EQ(hit(*cache_, a_, chain_of(3, 8)), 8u);
  EXPECT_EQ(hit(*cache_, a_, chain_of(2, 8)), 2u);
}

TEST_F(Isolated, AStoreBeyondTheMaximumIsRefusedWithNothingEvicted) {
  make({{"a", {0, 10 * kUnit}}});
  ASSERT_TRUE(store(*cache_, a_, chain_of(2, 8)));
  EXPECT_FALSE(store(*cache_, a_, chain_of(3, 11)));
  EXPECT_EQ(units_of("a"), 8u);
  // What is leased cannot make room either.
  const Lease lease = lookup(*cache_, a_, chain_of(2, 8));
  EXPECT_FALSE(store(*cache_, a_, chain_of(3, 3)));
  EXPECT_TRUE(store(*cache_, a_, chain_of(3, 2)));
}

TEST_F(Isolated, OthersDoNotEvictATenantBelowItsGuarantee) {
  make({{"a", {15 * kUnit, UINT64_MAX}}});
  ASSERT_TRUE(store(*cache_, a_, chain_of(1, 15)));
  for (std::uint64_t n = 2; n < 20; ++n) ASSERT_TRUE(store(*cache_, b_, chain_of(n, 10)));
  EXPECT_EQ(units_of("a"), 15u);
  EXPECT_EQ(units_of("b"), 25u);
  EXPECT_FALSE(store(*cache_, b_, chain_of(30, 26)));
  // Its own stores go on: first what others have beyond their guarantee, then its own.
  ASSERT_TRUE(store(*cache_, a_, chain_of(31, 40)));
  EXPECT_EQ(units_of("a"), 40u);
  EXPECT_EQ(units_of("b"), 0u);
}

TEST_F(Isolated, WhoIsFarthestOverItsGuaranteeGives) {
  make({{"b", {10 * kUnit, UINT64_MAX}}});
  ASSERT_TRUE(store(*cache_, a_, chain_of(1, 18)));
  ASSERT_TRUE(store(*cache_, b_, chain_of(2, 22)));
  ASSERT_TRUE(store(*cache_, c_, chain_of(3, 8)));
  // a was 18 over, b 12: a gave six before they were even, then both.
  EXPECT_EQ(units_of("a"), 11u);
  EXPECT_EQ(units_of("b"), 21u);
}

TEST_F(Isolated, AScanDoesNotPushOthersOutBelowAnEvenShare) {
  make({});
  ASSERT_TRUE(store(*cache_, a_, chain_of(1, 20)));
  for (std::uint64_t n = 2; n < 50; ++n) ASSERT_TRUE(store(*cache_, b_, chain_of(n, 5)));
  EXPECT_GE(units_of("a"), 18u);
}

TEST_F(Isolated, ATenantsWindowsAreThinnedForItselfOnly) {
  make({{"a", {0, 16 * kUnit}}});
  const auto layout = layout_of(5, {-1, 1});
  Side a = a_;
  Side b = b_;
  a.layout = b.layout = layout;
  ASSERT_TRUE(store(*cache_, b, chain_of(1, 8)));
  ASSERT_TRUE(store(*cache_, a, chain_of(2, 8)));
  ASSERT_TRUE(store(*cache_, a, chain_of(3, 4)));
  EXPECT_EQ(units_of("b"), 16u);
  EXPECT_EQ(units_of("a"), 16u);
  EXPECT_EQ(hit(*cache_, a, chain_of(2, 8)), 8u);
  EXPECT_EQ(cache_->stats().thinned_objects, cache_->stats().evicted_objects);
}

TEST_F(Isolated, QuotasOfATenantThatLeftAreRemembered) {
  make({{"a", {0, 5 * kUnit}}});
  ASSERT_TRUE(store(*cache_, a_, chain_of(1, 5)));
  cache_->clear(true);
  EXPECT_FALSE(store(*cache_, a_, chain_of(1, 6)));
}

TEST_F(Isolated, ALowerLimitEvictsTheTenantsOwnAtOnce) {
  make({});
  ASSERT_TRUE(store(*cache_, b_, chain_of(1, 10)));
  ASSERT_TRUE(store(*cache_, a_, chain_of(2, 8)));
  ASSERT_TRUE(store(*cache_, a_, chain_of(3, 8)));
  ASSERT_TRUE(cache_->set_limit("a", 10 * kUnit));
  EXPECT_EQ(units_of("a"), 10u);
  EXPECT_EQ(hit(*cache_, a_, chain_of(3, 8)), 8u);
  EXPECT_EQ(hit(*cache_, a_, chain_of(2, 8)), 2u);
  EXPECT_EQ(hit(*cache_, b_, chain_of(1, 10)), 10u);
  const auto evicted = cache_->stats().evicted_bytes_for;
  EXPECT_EQ(evicted[static_cast<std::size_t>(EvictionReason::kQuota)], 6 * kUnit);
  EXPECT_EQ(cache_->stats().evicted_bytes, 6 * kUnit);
}

TEST_F(Isolated, WhatIsLeasedGoesWithTheNextStoreAfterItsLease) {
  make({});
  ASSERT_TRUE(store(*cache_, a_, chain_of(1, 8)));
  {
    const Lease lease = lookup(*cache_, a_, chain_of(1, 8));
    ASSERT_TRUE(cache_->set_limit("a", 4 * kUnit));
    EXPECT_EQ(units_of("a"), 8u);
    const auto refused = reserve(*cache_, a_, chain_of(2, 1));
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().text,
                HasSubstr("its cache_salt may have 16384 bytes, and 32768 are leased"));
  }
  EXPECT_EQ(units_of("a"), 8u);
  ASSERT_TRUE(store(*cache_, a_, chain_of(2, 1)));
  EXPECT_EQ(units_of("a"), 4u);
}

TEST_F(Isolated, ALimitOfNothingIsALimit) {
  make({});
  ASSERT_TRUE(store(*cache_, a_, chain_of(1, 8)));
  ASSERT_TRUE(cache_->set_limit("a", 0));
  EXPECT_EQ(units_of("a"), 0u);
  EXPECT_FALSE(store(*cache_, a_, chain_of(1, 1)));
  EXPECT_TRUE(cache_->tenant("a").quota.is_limited());
  EXPECT_TRUE(cache_->remove_limit("a"));
  EXPECT_FALSE(cache_->remove_limit("a"));
  EXPECT_FALSE(cache_->tenant("a").quota.is_limited());
  EXPECT_TRUE(store(*cache_, a_, chain_of(1, 40)));
}

TEST_F(Isolated, AGuaranteeStaysWithinTheLimitAndOutlivesIt) {
  make({{"a", {15 * kUnit, UINT64_MAX}}});
  ASSERT_TRUE(store(*cache_, a_, chain_of(1, 15)));
  ASSERT_TRUE(cache_->set_limit("a", 5 * kUnit));
  EXPECT_EQ(units_of("a"), 5u);
  // Its guarantee is its limit now: others may have the rest, and not more.
  ASSERT_TRUE(store(*cache_, b_, chain_of(2, 35)));
  EXPECT_FALSE(store(*cache_, b_, chain_of(3, 36)));
  EXPECT_EQ(units_of("a"), 5u);
  ASSERT_TRUE(cache_->remove_limit("a"));
  EXPECT_EQ(cache_->tenant("a").quota.min_bytes, 15 * kUnit);
  ASSERT_TRUE(store(*cache_, a_, chain_of(4, 15)));
  EXPECT_FALSE(store(*cache_, b_, chain_of(5, 26)));
  EXPECT_GE(units_of("a"), 15u);
}

TEST_F(Isolated, LimitsAreListedAndBounded) {
  make({{"guaranteed", {kUnit, UINT64_MAX}}, {"a", {0, 9 * kUnit}}});
  ASSERT_TRUE(store(*cache_, a_, chain_of(1, 3)));
  ASSERT_TRUE(store(*cache_, b_, chain_of(1, 3)));
  auto limited = cache_->limited_tenants();
  ASSERT_EQ(limited.size(), 1u);
  EXPECT_EQ(limited[0].salt, "a");
  EXPECT_EQ(limited[0].quota.max_bytes, 9 * kUnit);
  EXPECT_EQ(limited[0].used_bytes, 3 * kUnit);
  for (std::size_t i = 1; i < Cache::kLimitsMax; ++i)
    ASSERT_TRUE(cache_->set_limit("salt " + std::to_string(i), kUnit));
  EXPECT_EQ(cache_->set_limit("b", kUnit).error().cause, Cause::kNoMemory);
  EXPECT_TRUE(cache_->set_limit("a", 2 * kUnit)) << "who has one may have another";
  EXPECT_TRUE(cache_->remove_limit("salt 7"));
  EXPECT_TRUE(cache_->set_limit("b", kUnit));
  EXPECT_EQ(cache_->limited_tenants().size(), Cache::kLimitsMax);
}

TEST_F(Isolated, LimitsMayChangeWhileOthersStore) {
  make({});
  std::atomic<bool> done{false};
  std::thread setter([&] {
    for (std::uint64_t i = 0; !done; ++i) {
      if (i % 3 == 2) {
        cache_->remove_limit("a");
      } else {
        EXPECT_TRUE(cache_->set_limit("a", i % 20 * kUnit));
      }
    }
  });
  for (std::uint64_t i = 0; i < 20'000; ++i) {
    static_cast<void>(store(*cache_, a_, chain_of(i % 7, 1 + i % 9)));
    static_cast<void>(store(*cache_, b_, chain_of(i % 7, 1 + i % 9)));
  }
  done = true;
  setter.join();
  ASSERT_TRUE(cache_->set_limit("a", 3 * kUnit));
  EXPECT_LE(units_of("a"), 3u);
  EXPECT_EQ(units_of("a") + units_of("b"), cache_->stats().used_bytes / kUnit);
}

TEST(Tenants, OtherPoliciesRememberLimitsAndEnforceNone) {
  const Pool pool(10);
  Cache cache(pool.memory(), {});
  EXPECT_FALSE(cache.enforces_limits());
  ASSERT_TRUE(cache.set_limit("x", kUnit));
  ASSERT_TRUE(store(cache, tenant("x"), chain_of(1, 4)));
  EXPECT_EQ(cache.tenant("x").used_bytes, 4 * kUnit);
  ASSERT_TRUE(cache.set_limit("x", 2 * kUnit)) << "and takes nothing away";
  EXPECT_EQ(cache.tenant("x").used_bytes, 4 * kUnit);
  EXPECT_EQ(cache.limited_tenants().size(), 1u);
  EXPECT_TRUE(cache.remove_limit("x"));
  EXPECT_TRUE(cache.limited_tenants().empty());
}

TEST(Tenants, AHealthyPoolPassesItsProbeEmptyAndFull) {
  const Pool pool(10);
  Cache cache(pool.memory(), {});
  EXPECT_TRUE(cache.probe());
  ASSERT_TRUE(store(cache, tenant("x"), chain_of(1, 10)));
  EXPECT_EQ(cache.stats().free_bytes, 0u);
  EXPECT_TRUE(cache.probe());
  EXPECT_EQ(cache.stats().used_bytes, 10 * kUnit);
}

TEST_F(Isolated, OthersTakeNoPartOfAGuaranteeWithAChunkLargerThanWhatIsBeyondIt) {
  make({{"a", {10 * kUnit, UINT64_MAX}}});
  a_.layout = layout_of(2, {-1}, 4 * kUnit);
  ASSERT_TRUE(store(*cache_, a_, chain_of(1, 3)));  // 2 beyond it, in chunks of 4
  ASSERT_TRUE(store(*cache_, b_, chain_of(2, 28)));
  const Lease lease = lookup(*cache_, b_, chain_of(2, 28));
  EXPECT_FALSE(store(*cache_, c_, chain_of(3, 1)));
  EXPECT_EQ(units_of("a"), 12u);
  // What cannot be had is known from now on.
  EXPECT_FALSE(store(*cache_, b_, chain_of(4, 2)));
  EXPECT_EQ(units_of("b"), 28u);
  // For itself it gives as before.
  ASSERT_TRUE(store(*cache_, a_, chain_of(5, 1)));
  EXPECT_EQ(units_of("a"), 12u);
}

TEST_F(Isolated, WhoCannotGiveAWholeChunkIsPassedOverForTheNext) {
  make({{"a", {10 * kUnit, UINT64_MAX}}});
  a_.layout = layout_of(2, {-1}, 8 * kUnit);
  ASSERT_TRUE(store(*cache_, a_, chain_of(1, 2)));  // 6 beyond it, in chunks of 8
  ASSERT_TRUE(store(*cache_, b_, chain_of(2, 4)));
  ASSERT_TRUE(store(*cache_, c_, chain_of(3, 22)));
  EXPECT_EQ(units_of("a"), 16u);
  EXPECT_EQ(units_of("b") + units_of("c"), 24u);
}

TEST_F(Isolated, WhoCouldNotGiveIsAskedAgainOnceItsOrderHasChanged) {
  make({{"a", {10 * kUnit, UINT64_MAX}}});
  Side large = a_;
  large.layout = layout_of(2, {-1}, 8 * kUnit);
  ASSERT_TRUE(store(*cache_, large, chain_of(1, 1)));
  ASSERT_TRUE(store(*cache_, a_, chain_of(2, 4)));  // 2 beyond it, the oldest of 8
  ASSERT_TRUE(store(*cache_, b_, chain_of(3, 28)));
  const Lease lease = lookup(*cache_, b_, chain_of(3, 28));
  EXPECT_FALSE(store(*cache_, c_, chain_of(4, 1)));
  cache_->touch(a_.keyspace, chain_of(1, 1));
  EXPECT_TRUE(store(*cache_, c_, chain_of(4, 1)));
  EXPECT_EQ(units_of("a"), 11u);
}

/// Random stores, leases and clears of three tenants with quotas, in chunks of one to seven units:
/// nobody is above its maximum, a guarantee once filled is never taken by others, the sums are what
/// the pool says.
TEST_F(Isolated, RandomHistoriesKeepEveryQuota) {
  make({{"a", {12 * kUnit, 30 * kUnit}}, {"b", {0, 14 * kUnit}}});
  std::mt19937 random(7);
  const LayoutPtr layouts[] = {layout_of(1, {-1}), layout_of(2, {-1}, 3 * kUnit),
                               layout_of(3, {-1, 1}, 2 * kUnit), layout_of(4, {-1}, 7 * kUnit)};
  std::vector<Lease> leases;
  std::uint64_t kept_to_the_unit = 0;
  for (int i = 0; i < 20'000; ++i) {
    Side side = tenant(std::string(1, "abc"[random() % 3]));
    side.layout = layouts[random() % std::size(layouts)];
    const std::uint64_t guaranteed = std::min<std::uint64_t>(units_of("a"), 12);
    const auto chain = chain_of(random() % 12, 1 + random() % 10);
    switch (random() % 8) {
      case 0:
        leases.push_back(lookup(*cache_, side, chain));
        if (leases.size() > 2) leases.erase(leases.begin());
        break;
      case 1:
        if (random() % 50 == 0) {
          cache_->clear(random() % 2 == 0);
          continue;
        }
        break;
      case 2:
        ASSERT_TRUE(cache_->set_limit("c", random() % 30 * kUnit));
        ASSERT_TRUE(cache_->probe());
        break;
      default:
        static_cast<void>(store(*cache_, side, chain));
        if (side.keyspace.salt != "a") {
          ASSERT_GE(units_of("a"), guaranteed) << i;
          if (guaranteed == 12 && units_of("a") < 12 + 7) ++kept_to_the_unit;
        }
    }
    ASSERT_LE(units_of("a"), 30u);
    ASSERT_LE(units_of("b"), 14u);
    ASSERT_EQ(units_of("a") + units_of("b") + units_of("c"), cache_->stats().used_bytes / kUnit);
  }
  EXPECT_GT(kept_to_the_unit, 1000u) << "the guarantee was hardly ever at stake";
}

TEST(Tenants, WithoutIsolationUsageIsCountedAllTheSame) {
  const Pool pool(10);
  Cache cache(pool.memory(), {});
  ASSERT_TRUE(store(cache, tenant("x"), chain_of(1, 4)));
  ASSERT_TRUE(store(cache, tenant("y"), chain_of(1, 8)));
  EXPECT_EQ(cache.tenant("x").used_bytes, 2 * kUnit);
  EXPECT_EQ(cache.tenant("y").used_bytes, 8 * kUnit);
}

}  // namespace
}  // namespace lmcache::test
