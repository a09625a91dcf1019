// The pool with a driver that only takes notes.
#include "gpu/pinned_pool.hpp"

#include "obs/log.hpp"
#include "obs/pulse.hpp"
#include "pool/allocator.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <map>
#include <mutex>
#include <sstream>
#include <thread>
#include <vector>

namespace lmcache::gpu {
namespace {

constexpr std::uint64_t kPart = 1 << 20;

class FakeDriver {
 public:
  PinnedPool::Driver driver() {
    return {[this](std::span<std::byte> part) -> Status {
              const std::lock_guard lock(mutex);
              ++tried;
              if (failing == tried) return Error{Cause::kNoMemory, "no more"};
              pinned[part.data()] = part.size();
              return {};
            },
            [this](std::span<std::byte> part) {
              const std::lock_guard lock(mutex);
              EXPECT_EQ(pinned[part.data()], part.size());
              pinned.erase(part.data());
            }};
  }
  std::mutex mutex;
  std::map<std::byte*, std::size_t> pinned;
  int tried = 0;
  int failing = -1;  ///< which attempt fails
};

PinnedPoolStatus wait_until(const PinnedPool& pool, std::uint64_t pinned) {
  for (int i = 0; i < 2000 && pool.status().pinned_bytes != pinned; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return pool.status();
}

PinnedPool::Options options() {
  return {kPart, 2 * kPart, 2};
}

TEST(PinnedPool, PinsEveryPartAndGivesThemBack) {
  std::vector<std::byte> memory(3 * kPart + 4096, std::byte{7});
  FakeDriver fake;
  PinnedPool pool(memory, options());
  EXPECT_FALSE(pool.pinned(memory.data()));
  pool.pin(fake.driver());
  const auto status = wait_until(pool, memory.size());
  EXPECT_EQ(status.pinned_bytes, memory.size());
  EXPECT_EQ(status.touched_bytes, memory.size());
  EXPECT_EQ(fake.pinned.size(), 4u);
  EXPECT_TRUE(pool.pinned(memory.data() + 3 * kPart));
  pool.unpin();
  EXPECT_TRUE(fake.pinned.empty());
  EXPECT_FALSE(pool.pinned(memory.data()));
  EXPECT_EQ(memory[kPart], std::byte{7}) << "touching must not change what is there";
}

TEST(PinnedPool, TouchesWithoutADriver) {
  std::vector<std::byte> memory(2 * kPart);
  PinnedPool pool(memory, options());
  pool.touch(true);
  EXPECT_EQ(pool.status().touched_bytes, memory.size());
  EXPECT_EQ(pool.status().pinned_bytes, 0u);
  EXPECT_EQ(pool.status().ready_bytes, memory.size());
}

TEST(PinnedPool, APartThatFailsIsCountedAndTheRestGoesOn) {
  std::vector<std::byte> memory(3 * kPart);
  FakeDriver fake;
  fake.failing = 2;
  PinnedPool pool(memory, options());
  pool.pin(fake.driver());
  const auto status = wait_until(pool, 2 * kPart);
  EXPECT_EQ(status.failed_parts, 1u);
  EXPECT_EQ(status.ready_bytes, memory.size()) << "nothing is to come for the part that failed";
  EXPECT_EQ(status.error, "no more");
  EXPECT_FALSE(pool.pinned(memory.data() + kPart));
  EXPECT_TRUE(pool.pinned(memory.data() + 2 * kPart));
}

TEST(PinnedPool, NothingIsToComeForPartsThatFailedNorIsAnythingSaidOfThemLater) {
  std::vector<std::byte> memory(3 * kPart);
  FakeDriver fake;
  fake.failing = 2;
  PinnedPool pool(memory, options());
  pool.pin(fake.driver());
  auto status = wait_until(pool, 2 * kPart);
  EXPECT_EQ(status.seconds_left, 0);
  pool.unpin();
  status = pool.status();
  EXPECT_EQ(status.failed_parts, 0u) << "no GPU is in use";
  EXPECT_EQ(status.error, "");
  fake.failing = 4;
  pool.pin(fake.driver());
  EXPECT_EQ(wait_until(pool, 2 * kPart).error, "no more");
  pool.pin(fake.driver());
  EXPECT_EQ(wait_until(pool, memory.size()).error, "") << "all of it is pinned";
}

/// Pins one part, then waits.
struct Halfway {
  PinnedPool::Driver driver() {
    return {[this](std::span<std::byte>) -> Status {
              if (pinned++ > 0) go_on.get_future().wait();
              return {};
            },
            [](std::span<std::byte>) {}};
  }
  std::atomic<int> pinned = 0;
  std::promise<void> go_on;
};

TEST(PinnedPool, IsReadyAsFarAsItIsPinnedWhileAGpuIsInUse) {
  std::vector<std::byte> memory(2 * kPart);
  PinnedPool pool(memory, options());
  EXPECT_EQ(pool.status().ready_bytes, memory.size()) << "nobody wants it touched or pinned";
  pool.touch(true);
  EXPECT_EQ(pool.status().ready_bytes, memory.size());
  Halfway halfway;
  pool.pin(halfway.driver());
  EXPECT_EQ(wait_until(pool, kPart).ready_bytes, kPart);
  halfway.go_on.set_value();
  EXPECT_EQ(wait_until(pool, memory.size()).ready_bytes, memory.size());
  pool.unpin();
  EXPECT_EQ(pool.status().ready_bytes, memory.size()) << "touched is all it can be now";
}

/// Waits before it has pinned any.
TEST(PinnedPool, TheTimeLeftIsGuessedByTheTouchingWhileNothingIsPinned) {
  std::vector<std::byte> memory(2 * kPart);
  PinnedPool pool(memory, options());
  EXPECT_EQ(pool.status().seconds_left, 0) << "nobody wants anything";
  std::promise<void> go_on;
  std::atomic<bool> begun = false;
  pool.pin({[&](std::span<std::byte>) -> Status {
              if (!begun.exchange(true)) go_on.get_future().wait();
              return {};
            },
            [](std::span<std::byte>) {}});
  while (!begun) std::this_thread::yield();
  EXPECT_GT(pool.status().seconds_left, 0);
  go_on.set_value();
  EXPECT_EQ(wait_until(pool, memory.size()).seconds_left, 0);
  pool.unpin();
  EXPECT_EQ(pool.status().seconds_left, 0);
}

TEST(PinnedPool, TheLogHasBeginningProgressAndEnd) {
  std::ostringstream log;
  obs::setup_logging({}, &log);
  std::vector<std::byte> memory(3 * kPart);
  {
    FakeDriver fake;
    PinnedPool::Options often = options();
    often.say_every = std::chrono::milliseconds(0);
    PinnedPool pool(memory, often);
    pool.pin(fake.driver());
    wait_until(pool, memory.size());
  }
  obs::setup_logging({});
  EXPECT_THAT(log.str(), testing::ContainsRegex("pinning L1 bytes=3145728 parts=3"));
  EXPECT_THAT(log.str(),
              testing::ContainsRegex("L1 is being pinned bytes=1048576 seconds_left=[0-9]"));
  EXPECT_THAT(log.str(), testing::ContainsRegex("L1 is pinned bytes=3145728 failed_parts=0"));
}

TEST(PinnedPool, UnpinningBeatsForEachPart) {
  std::vector<std::byte> memory(3 * kPart);
  FakeDriver fake;
  PinnedPool pool(memory, options());
  pool.pin(fake.driver());
  wait_until(pool, memory.size());
  int beats = 0;
  pool.unpin([&] { ++beats; });
  EXPECT_EQ(beats, 3);
}

TEST(PinnedPool, WhatWasToBeTouchedIsTouchedThoughPinningWasCutShort) {
  std::vector<std::byte> memory(64 * kPart);
  PinnedPool pool(memory, options());
  pool.touch(false);
  Halfway halfway;
  pool.pin(halfway.driver());
  EXPECT_EQ(wait_until(pool, kPart).pinned_bytes, kPart);
  const auto unpinned = std::async(std::launch::async, [&] { pool.unpin(); });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  halfway.go_on.set_value();
  unpinned.wait();
  for (int i = 0; i < 2000 && pool.status().ready_bytes < memory.size(); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_EQ(pool.status().ready_bytes, memory.size());
}

TEST(PinnedPool, APinningThatHangsFallsSilentByName) {
  const auto silence = [] {
    for (const obs::Vital& vital : obs::vitals())
      if (vital.name == "L1 pinning") return vital.silence;
    return obs::Pulse::Clock::duration::zero();
  };
  std::vector<std::byte> memory(2 * kPart);
  PinnedPool pool(memory, options());
  Halfway halfway;
  pool.pin(halfway.driver());
  while (silence() < 2 * obs::Pulse::kInterval) std::this_thread::yield();
  halfway.go_on.set_value();
  EXPECT_EQ(wait_until(pool, memory.size()).pinned_bytes, memory.size());
  while (silence() > obs::Pulse::Clock::duration::zero()) std::this_thread::yield();
}

/// The parts in which the first stores find room are ready first.
TEST(PinnedPool, PinsPartsInTheOrderInWhichTheyAreFilled) {
  constexpr std::uint64_t kUnit = 32;  // so that a part has as many as a real one
  for (const std::uint64_t bytes : {4 * kPart, 3 * kPart + kPart / 4 * 3, kPart / 2}) {
    std::vector<std::byte> memory(bytes);
    std::vector<std::uint64_t> pinned, filled;
    PinnedPool pool(memory, options());
    pool.pin({[&](std::span<std::byte> part) -> Status {
                pinned.push_back(static_cast<std::uint64_t>(part.data() - memory.data()) / kPart);
                return {};
              },
              [](std::span<std::byte>) {}});
    EXPECT_EQ(wait_until(pool, bytes).pinned_bytes, bytes);
    pool::Allocator allocator(bytes, kUnit, kPart);
    while (const auto at = allocator.allocate(40 * kUnit))
      if (filled.empty() || filled.back() != *at / kPart) filled.push_back(*at / kPart);
    EXPECT_EQ(pinned, filled) << bytes;
  }
}

TEST(PinnedPool, CanBePinnedAgain) {
  std::vector<std::byte> memory(2 * kPart);
  FakeDriver fake;
  PinnedPool pool(memory, options());
  for (int round = 0; round < 3; ++round) {
    pool.pin(fake.driver());
    EXPECT_EQ(wait_until(pool, memory.size()).pinned_bytes, memory.size());
    pool.unpin();
  }
  EXPECT_EQ(fake.tried, 6);
}

}  // namespace
}  // namespace lmcache::gpu
