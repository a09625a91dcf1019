#include "engine/instances.hpp"

#include <gtest/gtest.h>

namespace lmcache::engine {
namespace {

InstancePtr worker(wire::InstanceId id, std::byte fingerprint = std::byte{1},
                   const std::string& model = "m") {
  auto layout = std::make_shared<ObjectLayout>();
  layout->fingerprint[0] = fingerprint;
  auto out = std::make_shared<Instance>();
  out->id = id;
  out->model = model;
  out->layout = layout;
  return out;
}

struct InstancesTest : testing::Test {
  void SetUp() override {
    instances.open(1);
    instances.open(2);
  }
  Instances instances;
  Clock::time_point now = Clock::now();
};

TEST_F(InstancesTest, AnUnknownWorkerIsToldOnceOnEachConnection) {
  EXPECT_FALSE(instances.ping(1, 7, now));
  EXPECT_TRUE(instances.ping(1, 7, now));
  EXPECT_TRUE(instances.ping(1, 7, now));
  EXPECT_FALSE(instances.ping(2, 7, now));
  instances.put(1, worker(7), now);
  EXPECT_TRUE(instances.ping(1, 7, now));
  instances.remove(7);
  EXPECT_FALSE(instances.ping(1, 7, now)) << "a worker lost again must hear of it again";
}

TEST_F(InstancesTest, ARegistrationInProgressCountsAsKnown) {
  instances.announce(1, 7);
  EXPECT_TRUE(instances.ping(1, 7, now));
  instances.forget_announced(1, 7);
  EXPECT_FALSE(instances.ping(1, 7, now));
}

TEST_F(InstancesTest, ManyMadeUpIdsAreForgottenNotKept) {
  for (std::size_t i = 0; i < Instances::kUnknownPingsPerPeer; ++i)
    EXPECT_FALSE(instances.ping(1, static_cast<wire::InstanceId>(i), now));
  EXPECT_TRUE(instances.ping(1, 0, now));
  EXPECT_FALSE(instances.ping(1, 1 << 30, now));
  EXPECT_FALSE(instances.ping(1, 0, now)) << "the table grew beyond its bound";
}

TEST_F(InstancesTest, AWorkerGoesWithItsLastConnection) {
  instances.put(1, worker(7), now);
  EXPECT_NE(instances.find(2, 7, now), nullptr);
  EXPECT_TRUE(instances.close(1).empty());
  EXPECT_EQ(instances.size(), 1u);
  EXPECT_EQ(instances.close(2).size(), 1u);
  EXPECT_EQ(instances.size(), 0u);
}

TEST_F(InstancesTest, ARegistrationThatEndsAfterItsConnectionLeavesNothing) {
  EXPECT_TRUE(instances.close(1).empty());
  EXPECT_NE(instances.put(1, worker(7), now), nullptr) << "the caller gets it back to destroy it";
  EXPECT_EQ(instances.size(), 0u);
}

TEST_F(InstancesTest, RegisteringAgainReplaces) {
  EXPECT_EQ(instances.put(1, worker(7, std::byte{1}), now), nullptr);
  const auto old = instances.put(1, worker(7, std::byte{2}), now);
  ASSERT_NE(old, nullptr);
  EXPECT_EQ(old->layout->fingerprint[0], std::byte{1});
  EXPECT_EQ(instances.find(1, 7, now)->layout->fingerprint[0], std::byte{2});
  EXPECT_EQ(instances.size(), 1u);
}

TEST_F(InstancesTest, WorkersOfOneConnectionAreBounded) {
  for (std::size_t i = 0; i < Instances::kRegistrationsPerPeer; ++i) {
    const auto id = static_cast<wire::InstanceId>(i);
    EXPECT_TRUE(instances.may_register(1, id));
    instances.put(1, worker(id), now);
  }
  EXPECT_FALSE(instances.may_register(1, 1000));
  EXPECT_TRUE(instances.may_register(1, 7)) << "it is registered anew";
  EXPECT_TRUE(instances.may_register(2, 1000)) << "another connection";
  instances.remove(7);
  EXPECT_TRUE(instances.may_register(1, 1000));
}

TEST_F(InstancesTest, LayoutsAreThoseOfLiveWorkersEachOnce) {
  instances.put(1, worker(1), now);
  instances.put(1, worker(2), now);
  instances.put(1, worker(3, std::byte{9}), now);
  instances.put(1, worker(4, std::byte{5}, "other"), now);
  EXPECT_EQ(instances.layouts("m", 1).size(), 2u);
  EXPECT_EQ(instances.layouts("m", 1, 3).size(), 1u);
  EXPECT_EQ(instances.layouts("m", 2).size(), 0u);
  EXPECT_EQ(instances.layouts("m", 1, 1).size(), 2u) << "2 has the same";
  EXPECT_EQ(instances.layouts("m", 1, 4).size(), 2u) << "of another model";
  instances.put(1, worker(2, std::byte{9}), now);
  EXPECT_EQ(instances.layouts("m", 1).size(), 2u);
  instances.remove(3);
  EXPECT_EQ(instances.layouts("m", 1).size(), 2u) << "2 has it now";
  EXPECT_EQ(instances.layouts("m", 1, 2).size(), 1u) << "and nobody else, though 3 had it first";
  instances.remove(1);
  EXPECT_EQ(instances.layouts("m", 1).size(), 1u);
  EXPECT_EQ(instances.close(1).size(), 2u);
  EXPECT_TRUE(instances.layouts("m", 1).empty());
}

TEST_F(InstancesTest, ReapingGoesByLastSignOfLife) {
  using std::chrono::seconds;
  instances.put(1, worker(1), now - seconds(200));
  instances.put(1, worker(2), now - seconds(200));
  instances.put(1, worker(3), now - seconds(200));
  static_cast<void>(instances.ping(1, 2, now - seconds(150)));
  static_cast<void>(instances.ping(1, 3, now - seconds(150)));
  static_cast<void>(instances.find(1, 3, now - seconds(10)));
  const auto gone = instances.reap(now - seconds(120), now - seconds(3600));
  ASSERT_EQ(gone.size(), 1u) << "1 never pinged and has an hour, 3 was used lately";
  EXPECT_EQ(gone[0]->id, 2);
}

TEST_F(InstancesTest, AWorkerThatAnyConnectionProvesAliveIsNotReaped) {
  using std::chrono::seconds;
  instances.put(1, worker(1), now - seconds(7200));
  instances.put(2, worker(2), now - seconds(7200));
  instances.put(2, worker(3), now - seconds(7200));
  static_cast<void>(instances.find(1, 3, now - seconds(7200)));
  instances.prove(1);
  const auto gone = instances.reap(now - seconds(120), now - seconds(3600));
  ASSERT_EQ(gone.size(), 1u);
  EXPECT_EQ(gone[0]->id, 2) << "1 and 3 are used by a connection that answers heartbeats";
}

}  // namespace
}  // namespace lmcache::engine
