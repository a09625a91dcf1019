// The GPU path against a real GPU and a real second process: what arrives in objects and pages must
// equal what the CPU's planner makes of the same bytes, and everything around it must be untouched.
#include "gpu/gpu_device.hpp"

namespace lmcache::test {
namespace {

TEST_F(GpuDevice, EveryFormatIsByteExact) {
  EngineProcess engine;
  for (const KvCase& kv : kv_cases()) {
    const bool hybrid = kv.name == "hybrid";
    for (const std::uint64_t skip : {0ull, 19ull})
      round_trip(engine, kv, hybrid ? 32 : 16, hybrid ? 2 : 3, skip);
  }
}

TEST_F(GpuDevice, DeepSeekV4IsByteExact) {
  EngineProcess engine;
  KvCase kv;
  kv.name = "DeepSeek-V4-Flash";
  kv.made = deepseek_v4(330);
  round_trip(engine, kv, 256, 3, 300);
}

TEST_F(GpuDevice, ManyBatchesAndBothWaysOfCopyingAreByteExact) {
  EngineProcess engine;
  const KvCase kv = dense_model(160, 32);
  World world(kv, 256, 8, 21);
  const Worker worker = register_world(engine, world);
  for (int i = 0; i < 7; ++i) {
    std::fill_n(base_, world.object_bytes(kAlign), std::byte{0xEE});
    for (auto& list : world.ids) std::rotate(list.begin(), list.begin() + 16, list.end());
    expect_ok(
        submit(worker, world, Direction::kStore, world.objects(base_, kAlign), engine.event()));
    expect_objects(world, world);
  }
  for (auto& list : world.ids) std::ranges::sort(list);  // long runs: worth a rectangle each
  for (int i = 0; i < 7; ++i) {
    for (std::size_t s = 0; s < world.segments.size(); ++s) {
      fill_random(world.segments[s], 900 + s);
      engine.write(worker.memories[s], world.segments[s]);
    }
    const auto objects = world.objects(base_, kAlign);
    expect_ok(submit(worker, world, Direction::kRetrieve, objects, engine.event()));
    world.copy(Direction::kRetrieve, objects, 0, 0);
    expect_pages(engine, worker, world);
  }
  ASSERT_EQ(devices_->status().size(), 1u);
  const auto status = devices_->status()[0];
  EXPECT_GT(status.direct_transfers, 0u);
  EXPECT_GT(status.store_busy_seconds, 0);
  EXPECT_GT(status.retrieve_busy_seconds, 0);
}

TEST_F(GpuDevice, BlocksOfOneRowAreByteExact) {
  EngineProcess engine;
  KvCase kv = dense_model(40, 3);
  kv.made.tensors.assign(3, dense("bfloat16", {40, 2, 1, 1, 8}));
  kv.made.infos = {group_info(0, {0, 1, 2}, 1)};
  round_trip(engine, kv, 8, 3, 3);
}

TEST_F(GpuDevice, AGigabyteIsByteExact) {
  EngineProcess engine;
  make_pool(kPool);
  round_trip(engine, dense_model(500, 32), 256, 31, 0);
}

TEST_F(GpuDevice, BlocksFourGigabytesApartAreByteExact) {
  EngineProcess engine;
  constexpr std::int64_t kApart = 512ll << 20;
  KvCase kv;
  kv.name = "far apart";
  kv.made.hints = kv_layout("BLHNC");
  kv.made.tensors = {strided("uint8", {10, 1, 8, 584}, {kApart, 8 * 584, 584, 1}, 64)};
  kv.made.infos = {group_info(0, {0}, 8)};
  World world(kv, 8, 9, 81);  // all blocks but the null block
  ASSERT_GT(world.segments[0].size(), 1ull << 32);
  const Worker worker = register_world(engine, world);
  const auto objects = world.objects(base_, kAlign);
  expect_ok(submit(worker, world, Direction::kStore, objects, engine.event()));
  expect_objects(world, world);
  std::ranges::reverse(world.ids[0]);
  expect_ok(submit(worker, world, Direction::kRetrieve, objects, engine.event()));
  world.copy(Direction::kRetrieve, objects, 0, 0);
  expect_pages(engine, worker, world);
}

TEST_F(GpuDevice, PagesAreReadForDiagnostics) {
  EngineProcess engine;
  const World world(dense_model(40, 4), 256, 2, 51);
  const Worker worker = register_world(engine, world);
  std::vector<Bytes> got;
  std::vector<copy::Run> runs;
  for (std::size_t s = 0; s < world.segments.size(); ++s) {
    got.emplace_back(world.segments[s].size());
    const std::size_t half = got[s].size() / 2;
    std::byte* segment = worker.opened.bases[s];
    runs.push_back({segment, got[s].data(), nullptr, half});
    runs.push_back({segment + half, got[s].data() + half, nullptr, got[s].size() - half});
  }
  std::promise<Status> done;
  devices_->read(worker.opened.memory, std::move(runs),
                 [&](Status status) { done.set_value(std::move(status)); });
  const Status status = done.get_future().get();
  ASSERT_TRUE(status) << status.error().text;
  for (std::size_t s = 0; s < world.segments.size(); ++s)
    expect_equal(got[s], world.segments[s], "segment " + std::to_string(s));
}

}  // namespace
}  // namespace lmcache::test
