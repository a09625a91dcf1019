#include "cache/policy.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace lmcache::cache {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::vector<ChunkId> drain(Policy& policy) {
  std::vector<ChunkId> order;
  while (const auto id = policy.victim()) {
    policy.remove(*id);
    order.push_back(*id);
  }
  return order;
}

TEST(Lru, GoesFromLeastToMostRecentlyUsed) {
  auto policy = make_policy("LRU").value();
  for (const ChunkId id : {7u, 3u, 5000u, 1u}) policy->insert(id, 1);
  policy->touch(3);
  policy->touch(3);
  EXPECT_THAT(drain(*policy), ElementsAre(7, 5000, 1, 3));
  EXPECT_FALSE(policy->victim());
}

TEST(Lru, RemovedAndInsertedAgainIsMostRecent) {
  auto policy = make_policy("LRU").value();
  for (ChunkId id = 0; id < 4; ++id) policy->insert(id, 1);
  for (const ChunkId id : {3u, 0u, 1u}) policy->remove(id);
  policy->insert(0, 1);
  EXPECT_THAT(drain(*policy), ElementsAre(2, 0));
}

TEST(Lru, RestoredGoesFirst) {
  auto policy = make_policy("LRU").value();
  policy->restore(9, 1);
  policy->insert(1, 1);
  policy->restore(2, 1);
  EXPECT_THAT(drain(*policy), ElementsAre(2, 9, 1));
  policy->restore(4, 1);
  policy->insert(5, 1);
  policy->touch(4);
  EXPECT_THAT(drain(*policy), ElementsAre(5, 4));
}

TEST(Noop, NeverNamesAVictim) {
  auto policy = make_policy("noop").value();
  EXPECT_FALSE(policy->evicts());
  policy->insert(1, 1);
  policy->restore(2, 1);
  EXPECT_THAT(drain(*policy), IsEmpty());
}

TEST(MakePolicy, AnUnknownNameIsAnErrorThatListsTheLegalOnes) {
  const auto policy = make_policy("lru");
  ASSERT_FALSE(policy);
  EXPECT_THAT(policy.error().text, HasSubstr("'lru'"));
  EXPECT_THAT(policy.error().text, HasSubstr("LRU, noop"));
}

}  // namespace
}  // namespace lmcache::cache
