// Rectangles executed by the host, with host memory in the GPU's place.
#include "gpu/rects.hpp"
#include "support/kv_world.hpp"

#include <gtest/gtest.h>

namespace lmcache::test {
namespace {

using copy::Direction;

constexpr std::size_t kAny = SIZE_MAX;

gpu::Origins origins(const World& world) {
  gpu::Origins out;
  for (const KernelGroup& group : world.geometry->kernel_groups) {
    out.emplace_back();
    for (const PlaneOrigin& origin : group.origins)
      out.back().push_back(
          {reinterpret_cast<std::uint64_t>(world.bases[origin.tensor]) + origin.offset,
           static_cast<std::uint32_t>(world.segment_of(origin.tensor))});
  }
  return out;
}

void execute(const std::vector<gpu::Rect>& rects, Direction direction) {
  for (const gpu::Rect& rect : rects) {
    EXPECT_GE(rect.device_pitch, rect.width);
    EXPECT_GE(rect.host_pitch, rect.width);
    for (std::uint64_t row = 0; row < rect.rows; ++row) {
      auto* page = reinterpret_cast<std::byte*>(rect.device + row * rect.device_pitch);
      std::byte* host = rect.host + row * rect.host_pitch;
      if (direction == Direction::kStore) {
        std::memcpy(host, page, rect.width);
      } else {
        std::memcpy(page, host, rect.width);
      }
    }
  }
}

TEST(Rects, MoveWhatThePlannerMoves) {
  for (const KvCase& kv : kv_cases()) {
    SCOPED_TRACE(kv.name);
    const bool hybrid = kv.name == "hybrid";
    for (const bool in_order : {false, true}) {
      World got(kv, hybrid ? 32 : 16, hybrid ? 2 : 3, 7),
          want(kv, hybrid ? 32 : 16, hybrid ? 2 : 3, 7);
      for (World* world : {&got, &want}) {
        if (in_order)
          for (auto& list : world->ids) std::ranges::sort(list);
        world->ids.back()[2] = 0;
      }
      Bytes pool(got.object_bytes(512));
      fill_random(pool, 8);
      const auto objects = got.objects(pool.data(), 512);
      const gpu::Pages pages{got.geometry.get(), &got.ids, objects, 0, 0, 9, 512};
      const auto rects = plan_rects(pages, origins(got), kAny).value();
      execute(rects, Direction::kRetrieve);
      want.copy(Direction::kRetrieve, objects, 0, 9);
      EXPECT_EQ(got.segments, want.segments);
    }
  }
}

/// One chunk of DeepSeek-V4.
class DeepSeekRects : public testing::Test {
 protected:
  DeepSeekRects() {
    kv_.made = deepseek_v4(120);
    world_ = std::make_unique<World>(kv_, 256, 1, 9);
    pool_.resize(world_->object_bytes(4096));
    objects_ = world_->objects(pool_.data(), 4096);
    origins_ = origins(*world_);
  }

  [[nodiscard]] std::vector<gpu::Rect> plan() const { return plan_at_most(kAny).value(); }
  [[nodiscard]] std::optional<std::vector<gpu::Rect>> plan_at_most(std::size_t most) const {
    return plan_rects({world_->geometry.get(), &world_->ids, objects_, 0, 0, 0, 4096}, origins_,
                      most);
  }
  /// Rectangles, where as many layers at a time go in one. Pages that are not one run of bytes take
  /// two each, for values and scales.
  [[nodiscard]] std::uint64_t expected(std::size_t layers_in_one) const {
    std::uint64_t sum = 0;
    for (const KernelGroup& group : world_->geometry->kernel_groups) {
      const std::size_t layers = group.origins.size();
      sum += group.format == KvFormat::kNlXNbBsvBss
                 ? 2 * layers * group.kept_ids
                 : (layers + layers_in_one - 1) / layers_in_one * group.kept_ids;
    }
    return sum;
  }

  KvCase kv_;
  std::unique_ptr<World> world_;
  Bytes pool_;
  std::vector<ObjectRef> objects_;
  gpu::Origins origins_;
};

/// DeepSeek-V4's layers lie evenly spaced in a block, so a block's pages of all layers are one
/// rectangle however its ids are scattered.
TEST_F(DeepSeekRects, OnePerBlockWhereLayersAreEvenlySpaced) {
  const auto rects = plan();
  EXPECT_EQ(rects.size(), expected(1000));
  std::uint64_t bytes = 0;
  for (const ObjectRef& object : objects_) bytes += object.bytes;
  EXPECT_EQ(gpu::total_bytes(rects), bytes);
}

/// A plan with too many is thrown away: it must not be made first, for it may take gigabytes.
TEST_F(DeepSeekRects, AreNotPlannedBeyondTheNumberThatPays) {
  const std::size_t all = plan().size();
  EXPECT_EQ(plan_at_most(all)->size(), all);
  EXPECT_FALSE(plan_at_most(all - 1));
  EXPECT_FALSE(plan_at_most(0));
}

TEST(Rects, StopWithinABatchOfPagesWithManyRows) {
  for (const KvCase& kv : kv_cases()) {
    SCOPED_TRACE(kv.name);
    const bool hybrid = kv.name == "hybrid";
    const World world(kv, hybrid ? 32 : 16, 2, 7);
    Bytes pool(world.object_bytes(512));
    const auto objects = world.objects(pool.data(), 512);
    gpu::Batcher batches({world.geometry.get(), &world.ids, objects, 0, 0, 0, 512});
    gpu::Batch batch;
    ASSERT_TRUE(batches.next(64 << 20, batch));
    std::vector<gpu::Rect> rects;
    ASSERT_TRUE(add_rects(batch, *world.geometry, origins(world), kAny, rects));
    const std::size_t all = rects.size();
    for (const std::size_t most : {all / 2, all - 1, all}) {
      rects.clear();
      EXPECT_EQ(add_rects(batch, *world.geometry, origins(world), most, rects), most == all);
      EXPECT_EQ(rects.size(), most);
    }
  }
}

/// The driver refuses a rectangle that reaches from one allocation into another, however evenly
/// they lie.
TEST_F(DeepSeekRects, StayInOneAllocation) {
  for (auto& group : origins_)
    for (std::uint32_t layer = 0; layer < group.size(); ++layer)
      group[layer].allocation = layer / 2;
  EXPECT_EQ(plan().size(), expected(2));
}

}  // namespace
}  // namespace lmcache::test
