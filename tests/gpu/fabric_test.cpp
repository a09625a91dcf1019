// Memory that engines make with CUDA's virtual memory calls and share by fabric handles. A machine
// gives those out where a process has an IMEX channel (/dev/nvidia-caps-imex-channels/channel0).
#include "gpu/gpu_device.hpp"

namespace lmcache::test {
namespace {

class GpuFabric : public GpuDevice {
 protected:
  void SetUp() override {
    GpuDevice::SetUp();
    if (IsSkipped()) return;
    engine_.emplace();
    if (!engine_->allocate_fabric(1)) GTEST_SKIP() << "NO FABRIC HANDLES: nothing here was tested";
  }
  void TearDown() override {
    GpuDevice::TearDown();
    engine_.reset();
  }

  /// The world's segments in memory of the engine's.
  std::vector<std::uint32_t> put(const World& world) {
    std::vector<std::uint32_t> memories;
    for (const Bytes& segment : world.segments) {
      memories.push_back(engine_->allocate_fabric(segment.size()).value());
      engine_->write(memories.back(), segment);
    }
    return memories;
  }

  std::optional<EngineProcess> engine_;
};

TEST_F(GpuFabric, PagesAreCopiedByteForByteAndGivenBack) {
  KvCase deepseek;
  deepseek.name = "DeepSeek-V4-Flash";
  deepseek.made = deepseek_v4(330);
  World world(dense_model(160, 8), 256, 8, 41), packed(deepseek, 256, 3, 42);
  const auto memories = put(world), others = put(packed);
  std::vector<std::uint64_t> free;
  for (int round = 0; round < 3; ++round) {
    {
      const Worker worker = register_memories(*engine_, world, memories);
      const auto objects = world.objects(base_, kAlign);
      expect_ok(submit(worker, world, Direction::kStore, objects, engine_->event()));
      expect_objects(world, world);
      for (std::size_t s = 0; s < world.segments.size(); ++s) {
        fill_random(world.segments[s], 600 + s);
        engine_->write(memories[s], world.segments[s]);
      }
      world.shuffle_ids(78);
      expect_ok(submit(worker, world, Direction::kRetrieve, objects, engine_->event()));
      world.copy(Direction::kRetrieve, objects, 0, 0);
      expect_pages(*engine_, worker, world);

      const Worker pool = register_memories(*engine_, packed, others);
      expect_ok(
          submit(pool, packed, Direction::kStore, packed.objects(base_, kAlign), engine_->event()));
      expect_objects(packed, packed);
    }
    std::this_thread::sleep_for(3s);  // the context goes as well
    free.push_back(engine_->free_memory());
  }
  EXPECT_EQ(free[1], free[0]);
  EXPECT_EQ(free[2], free[0]);
}

TEST_F(GpuFabric, TensorsOfOneAllocationShareItsMapping) {
  const World world(dense_model(40, 1), 256, 1, 44);
  const wire::Descriptor whole = engine_->descriptor(put(world)[0]);
  wire::Descriptor part = whole;
  auto& memory = std::get<wire::CudaVmmMemory>(part.memory);
  memory.export_id.fill(std::byte{9});
  memory.alloc_offset = 4096;
  memory.nbytes -= 4096;
  const auto opened = open({whole, part});
  ASSERT_TRUE(opened) << opened.error().text;
  EXPECT_EQ(opened->bases[1], opened->bases[0] + 4096);
}

TEST_F(GpuFabric, WhatIsNotAsItIsSaidToBeIsRefused) {
  const World world(dense_model(40, 1), 256, 1, 43);
  const auto memories = put(world);
  const wire::Descriptor good = engine_->descriptor(memories[0]);
  const auto with = [&](auto change) {
    wire::Descriptor bad = good;
    change(std::get<wire::CudaVmmMemory>(bad.memory));
    return open({bad});
  };
  EXPECT_FALSE(with([](wire::CudaVmmMemory& memory) { memory.fabric.fill(std::byte{7}); }));
  EXPECT_FALSE(with([](wire::CudaVmmMemory& memory) { memory.alloc_bytes *= 2; }));
  EXPECT_FALSE(with([](wire::CudaVmmMemory& memory) { memory.alloc_bytes = 1ull << 62; }));
  EXPECT_FALSE(with([](wire::CudaVmmMemory& memory) { memory.alloc_bytes = 0; }));
  EXPECT_FALSE(with([](wire::CudaVmmMemory& memory) { memory.alloc_bytes -= 1; }));
  EXPECT_FALSE(with([](wire::CudaVmmMemory& memory) { memory.alloc_offset = memory.alloc_bytes; }));
  EXPECT_TRUE(open({good})) << "none of that harmed the context";
}

}  // namespace
}  // namespace lmcache::test
