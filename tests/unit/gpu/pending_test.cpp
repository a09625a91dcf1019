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
  EXPECT_EQ(pending.find(mine), std::vector<FencePtr>{fence});
  EXPECT_TRUE(pending.find(other).empty());
  pending.remove(mine, fence);
  EXPECT_TRUE(pending.find(mine).empty());
}

/// An object's place may be used again before the old store is forgotten.
TEST(Pending, RemovingAnOldStoreLeavesANewOne) {
  PendingStores pending;
  const std::vector<ObjectRef> objects{{0, 0, &place[0], 1}};
  auto old = std::make_shared<Fence>(), fresh = std::make_shared<Fence>();
  pending.add(objects, old);
  pending.add(objects, fresh);
  pending.remove(objects, old);
  EXPECT_EQ(pending.find(objects), std::vector<FencePtr>{fresh});
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
