#include "gpu/pending.hpp"

#include <gtest/gtest.h>

namespace lmcache::gpu {
namespace {

std::byte place[4];

TEST(Pending, FindsEachFenceOnceUntilRemoved) {
  PendingStores pending;
  const std::vector<ObjectRef> mine{{0, 0, &place[0], 1}, {0, 1, &place[1], 1}};
  const std::vector<ObjectRef> other{{0, 2, &place[2], 1}};
  auto fence = std::make_shared<Fence>();
  pending.add(mine, fence);
  EXPECT_EQ(pending.find(mine, {}).value(), std::vector<FencePtr>{fence});
  EXPECT_TRUE(pending.find(other, {}).value().empty());
  pending.remove(mine, fence);
  EXPECT_TRUE(pending.find(mine, {}).value().empty());
}

/// An object's place may be used again before the old store is forgotten.
TEST(Pending, RemovingAnOldStoreLeavesANewOne) {
  PendingStores pending;
  const std::vector<ObjectRef> objects{{0, 0, &place[0], 1}};
  auto old = std::make_shared<Fence>(), fresh = std::make_shared<Fence>();
  pending.add(objects, old);
  pending.add(objects, fresh);
  pending.remove(objects, old);
  EXPECT_EQ(pending.find(objects, {}).value(), std::vector<FencePtr>{fresh});
}

/// A reader that has pinned an object before its store failed may ask after the store is forgotten.
TEST(Pending, WhatWasWithdrawnHasNoFencesButFails) {
  PendingStores pending;
  const std::vector<ObjectRef> objects{{0, 0, &place[0], 1}};
  auto fence = std::make_shared<Fence>();
  pending.add(objects, fence);
  bool withdrawn = false;
  const auto intact = [&] { return !withdrawn; };
  EXPECT_TRUE(pending.find(objects, intact));
  fence->settle(false);
  withdrawn = true;
  pending.remove(objects, fence);
  EXPECT_EQ(pending.find(objects, intact).error().cause, Cause::kCopyFailed);
  std::vector<bool> calls;
  pending.when_settled(objects, intact, [&](bool ok) { calls.push_back(ok); });
  EXPECT_EQ(calls, std::vector<bool>{false});
}

TEST(Pending, CallsBackWhenTheLastCopyHasEnded) {
  PendingStores pending;
  const std::vector<ObjectRef> first{{0, 0, &place[0], 1}}, second{{0, 1, &place[1], 1}},
      both{first[0], second[0], {0, 2, &place[2], 1}};
  for (const bool well : {true, false}) {
    auto a = std::make_shared<Fence>(), b = std::make_shared<Fence>();
    pending.add(first, a);
    pending.add(second, b);
    std::vector<bool> calls;
    pending.when_settled(both, {}, [&](bool ok) { calls.push_back(ok); });
    a->settle(well);
    EXPECT_TRUE(calls.empty());
    b->settle(true);
    EXPECT_EQ(calls, std::vector<bool>{well});
    pending.remove(first, a);
    pending.remove(second, b);
    pending.when_settled(both, {}, [&](bool ok) { calls.push_back(ok); });
    EXPECT_EQ(calls, (std::vector<bool>{well, true})) << "nothing to wait for";
  }
}

TEST(Fence, StartsAndEnds) {
  Fence fence;
  EXPECT_FALSE(fence.started());
  fence.start();
  EXPECT_TRUE(fence.started());
  EXPECT_FALSE(fence.settled());
  fence.settle(true);
  EXPECT_FALSE(fence.failed());
  Fence given_up;
  given_up.settle(false);
  EXPECT_TRUE(given_up.started()) << "nobody need wait for it to start";
  EXPECT_TRUE(given_up.failed());
  EXPECT_EQ(given_up.end(), nullptr);
}

TEST(Fence, CallsBackOnceWhetherAskedBeforeOrAfter) {
  Fence fence;
  std::vector<bool> calls;
  fence.when_settled([&](bool ok) { calls.push_back(ok); });
  EXPECT_TRUE(calls.empty());
  EXPECT_FALSE(fence.settled());
  fence.settle(false);
  EXPECT_TRUE(fence.failed());
  fence.when_settled([&](bool ok) { calls.push_back(ok); });
  EXPECT_EQ(calls, (std::vector<bool>{false, false}));
}

}  // namespace
}  // namespace lmcache::gpu
