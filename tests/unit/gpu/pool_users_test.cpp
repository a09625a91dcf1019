// GPUs that come and go, with a driver that only takes notes.
#include "gpu/pool_users.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <set>
#include <thread>

namespace lmcache::gpu {
namespace {

class UsersOfThePool : public testing::Test {
 protected:
  static constexpr std::uint64_t kBytes = 4096;

  PinnedPool::Driver driver(int ordinal) {
    return {[this, ordinal](std::span<std::byte>) -> Status {
              const std::lock_guard lock(mutex_);
              EXPECT_TRUE(contexts_.contains(ordinal));
              EXPECT_EQ(pinned_in_, -1);
              pinned_in_ = ordinal;
              return {};
            },
            [this, ordinal](std::span<std::byte>) {
              begun_ = true;
              if (holding_) go_on_.get_future().wait();
              const std::lock_guard lock(mutex_);
              EXPECT_TRUE(contexts_.contains(ordinal)) << "its context has gone before";
              EXPECT_EQ(pinned_in_, ordinal);
              pinned_in_ = -1;
            }};
  }
  void enter(int ordinal) {
    {
      const std::lock_guard lock(mutex_);
      contexts_.insert(ordinal);
    }
    users_.enter(ordinal);
  }
  bool leave(int ordinal) {
    const bool gone = users_.leave(ordinal, [] {});
    if (gone) end(ordinal);
    return gone;
  }
  void end(int ordinal) {
    const std::lock_guard lock(mutex_);
    contexts_.erase(ordinal);
  }
  bool is_pinned_in(int ordinal) {
    for (int i = 0; i < 2000 && pool_.status().pinned_bytes < kBytes; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    const std::lock_guard lock(mutex_);
    return pinned_in_ == ordinal;
  }
  /// Leaves, and is held in the middle of it until `go_on_`.
  std::future<bool> leave_slowly(int ordinal) {
    begun_ = false;
    holding_ = true;
    auto gone = std::async(std::launch::async, [this, ordinal] { return leave(ordinal); });
    while (!begun_) std::this_thread::yield();
    holding_ = false;
    return gone;
  }

  std::vector<std::byte> memory_ = std::vector<std::byte>(kBytes);
  std::mutex mutex_;
  std::set<int> contexts_;
  int pinned_in_ = -1;
  std::atomic<bool> begun_ = false, holding_ = false;
  std::promise<void> go_on_;
  PinnedPool pool_{memory_, {kBytes, 0, 1}};
  PoolUsers users_{pool_, [this](int ordinal) { return driver(ordinal); },
                   [this](int ordinal) { end(ordinal); }};
};

TEST_F(UsersOfThePool, TheFirstOnesContextStaysUntilTheLastHasGone) {
  enter(0);
  enter(1);
  EXPECT_TRUE(is_pinned_in(0));
  EXPECT_FALSE(leave(0));
  EXPECT_TRUE(is_pinned_in(0));
  EXPECT_TRUE(leave(1));
  EXPECT_TRUE(contexts_.empty());
  enter(1);
  EXPECT_TRUE(is_pinned_in(1));
  EXPECT_TRUE(leave(1));
}

TEST_F(UsersOfThePool, OneThatComesAgainIsKeptForItsOwnSake) {
  enter(0);
  enter(1);
  EXPECT_TRUE(is_pinned_in(0));
  EXPECT_FALSE(leave(0));
  users_.enter(0);
  EXPECT_TRUE(leave(1));
  EXPECT_TRUE(is_pinned_in(0));
  EXPECT_TRUE(leave(0));
}

TEST_F(UsersOfThePool, NobodyWaitsForUnpinning) {
  enter(0);
  EXPECT_TRUE(is_pinned_in(0));
  auto gone = leave_slowly(0);
  enter(1);  // returns, though the other one cannot go on
  enter(2);
  EXPECT_TRUE(leave(1)) << "nor does who leaves";
  EXPECT_EQ(gone.wait_for(std::chrono::milliseconds(20)), std::future_status::timeout);
  go_on_.set_value();
  EXPECT_TRUE(gone.get());
  EXPECT_TRUE(is_pinned_in(2));
  EXPECT_TRUE(leave(2));
}

/// It is unpinned by another GPU's thread, in its own context.
TEST_F(UsersOfThePool, AContextIsKeptUntilItsUnpinningHasEnded) {
  enter(0);
  enter(1);
  EXPECT_TRUE(is_pinned_in(0));
  EXPECT_FALSE(leave(0));
  auto gone = leave_slowly(1);
  users_.enter(0);
  EXPECT_FALSE(leave(0));
  go_on_.set_value();
  EXPECT_TRUE(gone.get());
  EXPECT_TRUE(contexts_.empty());
  EXPECT_EQ(pool_.status().pinned_bytes, 0u);
}

}  // namespace
}  // namespace lmcache::gpu
