// Rectangles executed by the host, with host memory in the GPU's place.
#include "gpu/rects.hpp"
#include "support/kv_world.hpp"

#include <gtest/gtest.h>

namespace lmcache::test {
namespace {

using copy::Direction;

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
      const auto rects = plan_rects(pages, origins(got));
      execute(rects, Direction::kRetrieve);
      want.copy(Direction::kRetrieve, objects, 0, 9);
      EXPECT_EQ(got.segments, want.segments);
    }
  }
}

/// DeepSeek-V4's layers lie evenly spaced in a block, so a block's pages of all layers are one
/// rectangle however its ids are scattered.
TEST(Rects, OnePerBlockWhereLayersAreEvenlySpaced) {
  KvCase kv;
  kv.made = deepseek_v4(120);
  World world(kv, 256, 1, 9);
  Bytes pool(world.object_bytes(4096));
  const auto objects = world.objects(pool.data(), 4096);
  const gpu::Pages pages{world.geometry.get(), &world.ids, objects, 0, 0, 0, 4096};
  const auto rects = plan_rects(pages, origins(world));
  std::uint64_t expected = 0;
  for (const KernelGroup& group : world.geometry->kernel_groups)
    expected += group.format == KvFormat::kNlXNbBsvBss
                    ? 2 * group.origins.size() * group.kept_ids  // values and scales of each page
                    : group.kept_ids;
  EXPECT_EQ(rects.size(), expected);
  std::uint64_t bytes = 0;
  for (const ObjectRef& object : objects) bytes += object.bytes;
  EXPECT_EQ(gpu::total_bytes(rects), bytes);
}

/// The driver refuses a rectangle that reaches from one allocation into another, however evenly
/// they lie.
TEST(Rects, StayInOneAllocation) {
  KvCase kv;
  kv.made = deepseek_v4(120);
  World world(kv, 256, 1, 9);
  Bytes pool(world.object_bytes(4096));
  const auto objects = world.objects(pool.data(), 4096);
  const gpu::Pages pages{world.geometry.get(), &world.ids, objects, 0, 0, 0, 4096};
  gpu::Origins apart = origins(world);
  std::uint64_t expected = 0;
  for (std::size_t g = 0; g < apart.size(); ++g) {
    const KernelGroup& group = world.geometry->kernel_groups[g];
    for (std::uint32_t layer = 0; layer < apart[g].size(); ++layer)
      apart[g][layer].allocation = layer / 2;
    const bool runs = group.format != KvFormat::kNlXNbBsvBss;
    expected +=
        runs ? (apart[g].size() + 1) / 2 * group.kept_ids : 2 * apart[g].size() * group.kept_ids;
  }
  EXPECT_EQ(plan_rects(pages, apart).size(), expected);
}

}  // namespace
}  // namespace lmcache::test
