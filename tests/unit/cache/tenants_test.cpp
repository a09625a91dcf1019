// Who gives when room is short, and that what is counted per tenant is what is there.
#include "cache/tenants.hpp"

#include <gmock/gmock.h>

#include <random>

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
    return cache_->tenant_bytes(salt) / kUnit;
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

/// Random stores, leases and clears of three tenants with quotas: nobody is above its maximum, a
/// guarantee once filled is never taken by others, the sums are what the pool says.
TEST_F(Isolated, RandomHistoriesKeepEveryQuota) {
  make({{"a", {12 * kUnit, 30 * kUnit}}, {"b", {0, 14 * kUnit}}});
  std::mt19937 random(7);
  const std::vector<Side> sides{a_, b_, c_};
  std::vector<Lease> leases;
  for (int i = 0; i < 20'000; ++i) {
    const Side& side = sides[random() % 3];
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
      default:
        static_cast<void>(store(*cache_, side, chain));
        if (side.keyspace.salt != "a") {
          ASSERT_GE(units_of("a"), guaranteed) << i;
        }
    }
    ASSERT_LE(units_of("a"), 30u);
    ASSERT_LE(units_of("b"), 14u);
    ASSERT_EQ(units_of("a") + units_of("b") + units_of("c"), cache_->stats().used_bytes / kUnit);
  }
}

TEST(Tenants, WithoutIsolationUsageIsCountedAllTheSame) {
  const Pool pool(10);
  Cache cache(pool.memory(), {});
  ASSERT_TRUE(store(cache, tenant("x"), chain_of(1, 4)));
  ASSERT_TRUE(store(cache, tenant("y"), chain_of(1, 8)));
  EXPECT_EQ(cache.tenant_bytes("x"), 2 * kUnit);
  EXPECT_EQ(cache.tenant_bytes("y"), 8 * kUnit);
}

}  // namespace
}  // namespace lmcache::test
