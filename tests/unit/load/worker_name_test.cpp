#include "load/worker_name.hpp"

#include <gtest/gtest.h>

#include <optional>

namespace lmcache::load {
namespace {

TEST(WorkerName, IsNobodyElsesAndIsTakenAgain) {
  std::optional<WorkerName> first(std::in_place);
  const WorkerName second;
  const std::int64_t id = first->id();
  EXPECT_GE(id, 0);
  EXPECT_NE(id, second.id());
  first.reset();
  const WorkerName third;
  EXPECT_EQ(third.id(), id);
}

}  // namespace
}  // namespace lmcache::load
