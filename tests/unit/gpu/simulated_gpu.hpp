// A GPU's thread on a simulated GPU, and engines that use it.
#pragma once

#include "gpu/devices.hpp"
#include "support/gpu_transfer.hpp"
#include "support/kv_world.hpp"
#include "unit/gpu/simulated_cuda.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <future>
#include <memory>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

namespace lmcache::test {

using copy::Direction;
using namespace std::chrono_literals;

/// Half of the pool is one engine's objects, half is another's.
class SimulatedGpu : public testing::Test {
 protected:
  static constexpr std::uint64_t kAlign = 4096;

  explicit SimulatedGpu(std::uint64_t part = 4 << 20) : part_(part) {}
  void SetUp() override { start(1, 1); }
  void TearDown() override {
    devices_.reset();
    EXPECT_FALSE(simulated::deadlocked());
    EXPECT_EQ(simulated::open_memories(), 0);
    EXPECT_EQ(simulated::live_events(), 0);
  }

  void start(int gpus, std::uint64_t lanes, gpu::DeviceOptions options = {}) {
    devices_.reset();
    simulated::reset(gpus);
    pool_ = std::make_unique<gpu::PinnedPool>(std::span(base(), 2 * part_),
                                              gpu::PinnedPool::Options{part_, 0, 1});
    options.staging_bytes = lanes << 26;
    options.align_bytes = kAlign;
    devices_ = std::make_unique<gpu::Devices>(options, *pool_);
  }

  [[nodiscard]] std::byte* base() {
    const auto start = reinterpret_cast<std::uintptr_t>(memory_.data());
    return memory_.data() + (kAlign - start % kAlign) % kAlign;
  }
  [[nodiscard]] std::vector<ObjectRef> objects(const World& world, std::uint64_t part = 0) {
    return world.objects(base() + part * part_, kAlign);
  }

  /// An engine that has registered a world's tensors.
  struct Engine {
    gpu::OpenedTensors opened;
    std::vector<std::byte*> bases;
  };

  Result<gpu::OpenedTensors> open(const World& world, int ordinal,
                                  const wire::Bytes& first_use = {}) {
    std::vector<wire::Descriptor> tensors;
    for (const Bytes& segment : world.segments) {
      wire::CudaMemory memory;
      memory.handle = simulated::exported(segment);
      memory.storage_bytes = segment.size();
      memory.event_required = !first_use.empty();
      std::ranges::copy(first_use, memory.event.begin());
      wire::Descriptor tensor;
      tensor.memory = memory;
      tensor.device_uuid = simulated::uuid(ordinal);
      tensors.push_back(tensor);
    }
    std::promise<Result<gpu::OpenedTensors>> opened;
    devices_->open(std::move(tensors),
                   [&](Result<gpu::OpenedTensors> result) { opened.set_value(std::move(result)); });
    return opened.get_future().get();
  }

  Engine enter(const World& world, int ordinal = 0, const wire::Bytes& first_use = {}) {
    Engine engine;
    auto opened = open(world, ordinal, first_use);
    if (!opened) throw std::runtime_error(opened.error().text);
    engine.opened = std::move(*opened);
    for (std::size_t t = 0; t < world.bases.size(); ++t)
      engine.bases.push_back(engine.opened.bases[world.segment_of(t)]);
    for (int i = 0; i < 2000 && pool_->status().ready_bytes < 2 * part_; ++i)
      std::this_thread::sleep_for(1ms);
    return engine;
  }

  Outcome submit(const Engine& engine, const World& world, Direction direction,
                 std::vector<ObjectRef> objects, wire::Bytes event = {}) {
    gpu::Transfer transfer;
    transfer.direction = direction;
    transfer.memory = engine.opened.memory;
    transfer.bases = engine.bases;
    transfer.objects = std::move(objects);
    transfer.event = std::move(event);
    return submit_to(*devices_, world, std::move(transfer));
  }

  /// The pool has what the CPU's planner makes of a world's pages.
  void expect_stored(World& world, std::uint64_t part = 0) {
    Bytes expected(world.object_bytes(kAlign) + kAlign);
    const auto want = world.objects(expected.data(), kAlign), got = objects(world, part);
    world.copy(Direction::kStore, want, 0, 0);
    for (std::size_t i = 0; i < got.size(); ++i)
      EXPECT_TRUE(std::equal(want[i].data, want[i].data + want[i].bytes, got[i].data)) << i;
  }

  [[nodiscard]] bool workers_become(std::uint64_t count, std::chrono::milliseconds patience = 1s) {
    for (auto left = patience; left > 0ms; left -= 5ms) {
      if (devices_->status()[0].workers == count) return true;
      std::this_thread::sleep_for(5ms);
    }
    return false;
  }

  const std::uint64_t part_;  ///< half of the pool
  Bytes memory_ = Bytes(2 * part_ + kAlign);
  std::unique_ptr<gpu::PinnedPool> pool_;
  std::unique_ptr<gpu::Devices> devices_;
  World mine_{dense_model(20, 2), 64, 2, 1}, theirs_{dense_model(20, 2), 64, 2, 2};
};

}  // namespace lmcache::test
