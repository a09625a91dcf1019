// What the tests of the GPU path share: a server's side without the server, and engines to copy
// for.
#pragma once

#include "gpu/devices.hpp"
#include "gpu/engine_process.hpp"
#include "support/gpu_transfer.hpp"
#include "support/kv_world.hpp"

#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include <cstring>
#include <future>
#include <optional>
#include <thread>

namespace lmcache::test {

using copy::Direction;
using gpu::Devices;
using gpu::OpenedTensors;
using namespace std::chrono_literals;

inline int count_gpus() {
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess) count = 0;
  static_cast<void>(cudaGetLastError());
  return count;
}

class GpuDevice : public testing::Test {
 protected:
  static constexpr std::uint64_t kPool = 1ull << 30, kAlign = 4096;
  static constexpr std::uint64_t kBehind = 1ull << 20;  ///< of the objects of a round trip

  void SetUp() override {
    if (count_gpus() == 0) GTEST_SKIP() << "NO GPU: nothing here was tested";
    memory_.resize(kPool + kAlign);
    const auto start = reinterpret_cast<std::uintptr_t>(memory_.data());
    base_ = memory_.data() + (kAlign - start % kAlign) % kAlign;
    make_pool(256ull << 20);
  }

  /// Neighbouring objects go in one DMA, so they must not lie on both sides of a part's end: the
  /// allocator leaves a unit between parts, World::objects() does not.
  void make_pool(std::uint64_t part_bytes) {
    devices_.reset();
    gpu::PinnedPool::Options options;
    options.part_bytes = part_bytes;
    pool_ = std::make_unique<gpu::PinnedPool>(std::span(base_, kPool), options);
    devices_ = std::make_unique<Devices>(gpu::DeviceOptions{}, *pool_);
  }

  void TearDown() override {
    devices_.reset();
    pool_.reset();
  }

  Result<OpenedTensors> open(std::vector<wire::Descriptor> tensors) {
    std::promise<Result<OpenedTensors>> opened;
    devices_->open(std::move(tensors),
                   [&](Result<OpenedTensors> result) { opened.set_value(std::move(result)); });
    return opened.get_future().get();
  }

  struct Worker {
    OpenedTensors opened;
    std::vector<std::uint32_t> memories;  ///< by segment
    std::vector<std::byte*> bases;        ///< by tensor
  };

  /// Device memory with the world's bytes behind every segment.
  Worker register_world(EngineProcess& engine, const World& world) {
    return register_memories(engine, world, put_into(engine, world));
  }

  /// The world's segments in memory of the engine's.
  static std::vector<std::uint32_t> put_into(EngineProcess& engine, const World& world) {
    std::vector<std::uint32_t> memories;
    for (const Bytes& segment : world.segments) {
      memories.push_back(engine.allocate(segment.size()));
      engine.write(memories.back(), segment);
    }
    return memories;
  }

  Worker register_memories(const EngineProcess& engine, const World& world,
                           const std::vector<std::uint32_t>& memories) {
    Worker worker;
    worker.memories = memories;
    std::vector<wire::Descriptor> tensors;
    for (const std::uint32_t memory : memories) {
      tensors.push_back(engine.descriptor(memory));
      if (first_use_) with_first_use(tensors.back());
    }
    auto opened = open(std::move(tensors));
    if (!opened) throw std::runtime_error(opened.error().text);
    worker.opened = std::move(*opened);
    for (std::size_t t = 0; t < world.bases.size(); ++t)
      worker.bases.push_back(worker.opened.bases[world.segment_of(t)]);
    // Copies to memory that is not pinned yet are not queued before they may run.
    for (int i = 0; i < 500 && pool_->status().pinned_bytes < kPool; ++i)
      std::this_thread::sleep_for(10ms);
    return worker;
  }

  /// The same memory as torch describes it.
  void with_first_use(wire::Descriptor& tensor) const {
    const auto raw = std::get<wire::CudaRawMemory>(tensor.memory);
    wire::CudaMemory memory;
    memory.handle = raw.handle;
    memory.storage_bytes = raw.nbytes;
    memory.event_required = true;
    std::ranges::copy(*first_use_, memory.event.begin());
    tensor.memory = memory;
  }

  Outcome submit(const Worker& worker, const World& world, Direction direction,
                 std::vector<ObjectRef> objects, wire::Bytes event, std::int64_t null_id = 0,
                 std::uint64_t skip = 0) {
    gpu::Transfer transfer;
    transfer.direction = direction;
    transfer.memory = worker.opened.memory;
    transfer.bases = worker.bases;
    transfer.objects = std::move(objects);
    transfer.null_id = null_id;
    transfer.skip_tokens = skip;
    transfer.event = std::move(event);
    return submit_to(*devices_, world, std::move(transfer));
  }

  static void expect_ok(const Outcome& outcome) {
    ASSERT_TRUE(outcome.queued.get()) << outcome.queued.get().error().text;
    ASSERT_TRUE(outcome.done.get()) << outcome.done.get().error().text;
  }

  static void expect_equal(std::span<const std::byte> got, std::span<const std::byte> want,
                           const std::string& what) {
    ASSERT_EQ(got.size(), want.size()) << what;
    const auto [at, other] = std::ranges::mismatch(got, want);
    EXPECT_EQ(at - got.begin(), static_cast<std::ptrdiff_t>(got.size()))
        << what << ": first wrong byte";
  }

  void expect_objects(const World& world, World& reference) {
    const auto got = world.objects(base_, kAlign);
    Bytes want(world.object_bytes(kAlign) + kAlign);
    const auto expected = reference.objects(want.data(), kAlign);
    reference.copy(Direction::kStore, expected, 0, 0);
    for (std::size_t i = 0; i < got.size(); ++i)
      expect_equal({got[i].data, got[i].bytes}, {expected[i].data, expected[i].bytes},
                   "object " + std::to_string(i));
  }

  void expect_pages(EngineProcess& engine, const Worker& worker, const World& world) {
    for (std::size_t s = 0; s < world.segments.size(); ++s)
      expect_equal(engine.read(worker.memories[s]), world.segments[s],
                   "segment " + std::to_string(s));
  }

  void round_trip(EngineProcess& engine, const KvCase& kv, std::uint32_t chunk_tokens,
                  std::uint32_t chunks, std::uint64_t skip) {
    SCOPED_TRACE(kv.name);
    World world(kv, chunk_tokens, chunks, 11);
    const std::uint64_t size = world.object_bytes(kAlign);
    std::fill_n(base_, size + kBehind, std::byte{0xEE});
    const Worker worker = register_world(engine, world);
    expect_ok(
        submit(worker, world, Direction::kStore, world.objects(base_, kAlign), engine.event()));
    expect_objects(world, world);
    expect_pages(engine, worker, world);  // a store writes to no page
    EXPECT_TRUE(std::all_of(base_ + size, base_ + size + kBehind, [](std::byte byte) {
      return byte == std::byte{0xEE};
    })) << "nor behind its objects";

    // Poison every page, then bring the objects back into other blocks.
    for (std::size_t s = 0; s < world.segments.size(); ++s) {
      fill_random(world.segments[s], 500 + s);
      engine.write(worker.memories[s], world.segments[s]);
    }
    world.shuffle_ids(77);
    world.ids.back()[1] = 0;  // a null block
    const auto objects = world.objects(base_, kAlign);
    expect_ok(submit(worker, world, Direction::kRetrieve, objects, engine.event(), 0, skip));
    world.copy(Direction::kRetrieve, objects, 0, skip);
    expect_pages(engine, worker, world);
  }

  std::optional<wire::Bytes> first_use_;  ///< of the tensors that are registered from now on
  std::vector<std::byte> memory_;
  std::byte* base_ = nullptr;
  std::unique_ptr<gpu::PinnedPool> pool_;
  std::unique_ptr<Devices> devices_;
};

}  // namespace lmcache::test
