// With a driver that takes its time.
#include "gpu/device_finder.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <memory>
#include <thread>

namespace lmcache::gpu {
namespace {

class FindingDevices : public testing::Test {
 protected:
  using Ordinals = DeviceFinder::Ordinals;

  Result<Ordinals> look() {
    ++looked_;
    begun_ = true;
    while (!go_on_.exchange(false)) std::this_thread::yield();
    begun_ = false;
    return result_;
  }
  /// What it will be told.
  std::future<Result<Ordinals>> ask() {
    auto told = std::make_shared<std::promise<Result<Ordinals>>>();
    finder_.find([told](const Result<Ordinals>& found) { told->set_value(found); });
    return told->get_future();
  }

  Result<Ordinals> result_ = Ordinals{{"a", 0}, {"b", 1}};
  std::atomic<int> looked_ = 0;
  std::atomic<bool> begun_ = false, go_on_ = false;
  DeviceFinder finder_{[this] { return look(); }};
};

TEST_F(FindingDevices, NobodyWaitsWhoAsksAndAllAreToldTheSame) {
  auto first = ask(), second = ask();  // returns, though the driver is not ready
  while (!begun_) std::this_thread::yield();
  auto third = ask();
  go_on_ = true;
  for (auto* told : {&first, &second, &third}) EXPECT_EQ(told->get().value(), result_.value());
  auto fourth = ask();
  EXPECT_EQ(fourth.wait_for(std::chrono::seconds(0)), std::future_status::ready) << "known by now";
  EXPECT_EQ(looked_, 1);
}

TEST_F(FindingDevices, AfterAFailureTheyAreLookedForAnew) {
  result_ = Error{Cause::kBadSegment, "no driver"};
  auto first = ask();
  while (!begun_) std::this_thread::yield();
  go_on_ = true;
  EXPECT_EQ(first.get().error().text, "no driver");
  while (begun_) std::this_thread::yield();
  result_ = Ordinals{{"a", 0}};
  std::future<Result<Ordinals>> second;
  do {  // the first look may still be telling
    second = ask();
    while (!begun_ && second.wait_for(std::chrono::seconds(0)) != std::future_status::ready)
      std::this_thread::yield();
  } while (!begun_);
  go_on_ = true;
  EXPECT_TRUE(second.get());
}

TEST_F(FindingDevices, WhoeverAskedIsToldOnceThoughItStops) {
  auto asked = ask();
  while (!begun_) std::this_thread::yield();
  const auto stopped = std::async(std::launch::async, [&] { finder_.stop(); });
  while (ask().wait_for(std::chrono::seconds(0)) != std::future_status::ready)
    std::this_thread::yield();  // not stopping yet
  EXPECT_EQ(asked.wait_for(std::chrono::seconds(0)), std::future_status::timeout);
  go_on_ = true;
  stopped.wait();
  EXPECT_EQ(asked.get().error().cause, Cause::kStopping);
  EXPECT_EQ(ask().get().error().cause, Cause::kStopping);
}

TEST_F(FindingDevices, MayStopWithoutHavingBegun) {
  finder_.stop();
  EXPECT_EQ(ask().get().error().cause, Cause::kStopping);
}

}  // namespace
}  // namespace lmcache::gpu
