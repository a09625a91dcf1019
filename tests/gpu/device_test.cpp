// The GPU path against a real GPU and a real second process: what arrives in objects and pages must
// equal what the CPU's planner makes of the same bytes, and everything around it must be untouched.
#include "gpu/devices.hpp"
#include "gpu/engine_process.hpp"
#include "gpu/gpu_cpus.hpp"
#include "support/kv_world.hpp"

#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include <cstring>
#include <future>
#include <numeric>
#include <thread>

namespace lmcache::test {
namespace {

using copy::Direction;
using gpu::Devices;
using gpu::OpenedTensors;
using namespace std::chrono_literals;

bool no_gpu() {
  int count = 0;
  const bool none = cudaGetDeviceCount(&count) != cudaSuccess || count == 0;
  static_cast<void>(cudaGetLastError());
  return none;
}

/// What a transfer answered, and how it ended.
struct Outcome {
  std::shared_future<Result<wire::Bytes>> queued;
  std::shared_future<Status> done;
};

class GpuDevice : public testing::Test {
 protected:
  static constexpr std::uint64_t kPool = 1ull << 30, kAlign = 4096;

  void SetUp() override {
    if (no_gpu()) GTEST_SKIP() << "NO GPU: nothing here was tested";
    memory_.resize(kPool + kAlign);
    const auto start = reinterpret_cast<std::uintptr_t>(memory_.data());
    base_ = memory_.data() + (kAlign - start % kAlign) % kAlign;
    gpu::PinnedPool::Options options;
    options.part_bytes = 256ull << 20;
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
    Worker worker;
    std::vector<wire::Descriptor> tensors;
    for (const Bytes& segment : world.segments) {
      worker.memories.push_back(engine.allocate(segment.size()));
      engine.write(worker.memories.back(), segment);
      tensors.push_back(engine.descriptor(worker.memories.back()));
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

  Outcome submit(const Worker& worker, const World& world, Direction direction,
                 std::vector<ObjectRef> objects, wire::Bytes event, std::int64_t null_id = 0,
                 std::uint64_t skip = 0) {
    struct Promises {
      std::promise<Result<wire::Bytes>> queued;
      std::promise<Status> done;
    };
    auto promises = std::make_shared<Promises>();
    Outcome outcome{promises->queued.get_future().share(), promises->done.get_future().share()};
    gpu::Transfer transfer;
    transfer.direction = direction;
    transfer.memory = worker.opened.memory;
    transfer.geometry = world.geometry;
    transfer.bases = worker.bases;
    transfer.objects = std::move(objects);
    transfer.ids = world.ids;
    transfer.null_id = null_id;
    transfer.skip_tokens = skip;
    transfer.event = std::move(event);
    transfer.queued = [promises](Result<wire::Bytes> result) {
      promises->queued.set_value(std::move(result));
    };
    transfer.done = [promises](Status status) { promises->done.set_value(std::move(status)); };
    devices_->submit(std::move(transfer));
    return outcome;
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
    std::fill_n(base_, world.object_bytes(kAlign), std::byte{0xEE});
    const Worker worker = register_world(engine, world);
    expect_ok(
        submit(worker, world, Direction::kStore, world.objects(base_, kAlign), engine.event()));
    expect_objects(world, world);
    expect_pages(engine, worker, world);  // a store writes to no page

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

  std::vector<std::byte> memory_;
  std::byte* base_ = nullptr;
  std::unique_ptr<gpu::PinnedPool> pool_;
  std::unique_ptr<Devices> devices_;
};

/// Dense bf16, `layers` tensors of K and V planes.
KvCase dense_model(std::int64_t blocks, std::size_t layers) {
  KvCase kv;
  kv.name = "dense";
  kv.made.hints = kv_layout("NHD");
  kv.made.tensors.assign(layers, dense("bfloat16", {blocks, 2, 16, 8, 128}));
  Sizes all(layers);
  std::iota(all.begin(), all.end(), 0);
  kv.made.infos = {group_info(0, all, 16)};
  return kv;
}

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
    for (auto& list : world.ids) std::ranges::rotate(list, list.begin() + 16);
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

TEST_F(GpuDevice, ARetrieveWaitsOnTheDeviceForTheStoreItReads) {
  EngineProcess writer, reader;
  const KvCase kv = dense_model(40, 4);
  World world(kv, 256, 2, 31);
  World empty(kv, 256, 2, 32);
  const Worker a = register_world(writer, world), b = register_world(reader, empty);
  const auto objects = world.objects(base_, kAlign);
  const Outcome store = submit(a, world, Direction::kStore, objects, writer.event(400ms));
  ASSERT_TRUE(store.queued.get());
  EXPECT_EQ(store.done.wait_for(50ms), std::future_status::timeout) << "its event is not over";
  const Outcome retrieve = submit(b, empty, Direction::kRetrieve, objects, reader.event());
  ASSERT_TRUE(retrieve.queued.get());
  EXPECT_EQ(retrieve.done.wait_for(50ms), std::future_status::timeout);
  bool settled = false;
  devices_->when_settled(objects, [&](bool) { settled = true; });
  EXPECT_FALSE(settled);
  reader.wait(*retrieve.queued.get());
  Bytes expected(world.object_bytes(kAlign) + kAlign);
  const auto stored = world.objects(expected.data(), kAlign);
  world.copy(Direction::kStore, stored, 0, 0);
  empty.copy(Direction::kRetrieve, stored, 0, 0);
  expect_pages(reader, b, empty);
  expect_ok(store);
  expect_ok(retrieve);
  EXPECT_TRUE(settled);
}

TEST_F(GpuDevice, EveryRetrieveOfAStoreUnderWaySeesItWhole) {
  EngineProcess writer, reader;
  const KvCase kv = dense_model(40, 4);
  World world(kv, 256, 2, 33), other(kv, 256, 2, 34);
  const Worker a = register_world(writer, world), b = register_world(reader, other);
  constexpr std::size_t kRounds = 24;
  const std::size_t span = world.object_bytes(kAlign);
  std::vector<Outcome> outcomes;
  for (std::size_t round = 0; round < kRounds; ++round) {
    // Other blocks every time, and a store that is held up every third time.
    for (auto& list : world.ids) std::ranges::rotate(list, list.begin() + 1);
    const auto objects = world.objects(base_ + round * span, kAlign);
    outcomes.push_back(
        submit(a, world, Direction::kStore, objects, writer.event(round % 3 == 0 ? 5ms : 0ms)));
    ASSERT_TRUE(outcomes.back().queued.get());
    outcomes.push_back(submit(b, other, Direction::kRetrieve, objects, {}));
    const auto retrieved = outcomes.back().queued.get();
    ASSERT_TRUE(retrieved) << retrieved.error().text;
    if (round % 4 != 3) continue;  // four of each are on their way
    reader.wait(*retrieved);
    Bytes expected(span + kAlign);
    const auto stored = world.objects(expected.data(), kAlign);
    world.copy(Direction::kStore, stored, 0, 0);
    other.copy(Direction::kRetrieve, stored, 0, 0);
    expect_pages(reader, b, other);
  }
  for (const Outcome& outcome : outcomes) expect_ok(outcome);
}

TEST_F(GpuDevice, AnEngineKilledBeforeItsEventCostsNobodyElse) {
  EngineProcess other;
  const KvCase kv = dense_model(40, 4);
  World world(kv, 256, 2, 41), mine(kv, 256, 2, 42);
  const Worker b = register_world(other, world);
  Outcome lost;
  {
    EngineProcess engine;
    const Worker a = register_world(engine, mine);
    auto objects = mine.objects(base_ + (kPool / 2), kAlign);
    lost = submit(a, mine, Direction::kStore, objects, engine.event(60s));
    ASSERT_TRUE(lost.queued.get());
    engine.kill();
    devices_->abandon(a.opened.memory);  // as the end of its connection does
    expect_ok(submit(b, world, Direction::kStore, world.objects(base_, kAlign), other.event()));
    expect_objects(world, world);
  }
  ASSERT_EQ(lost.done.wait_for(1s), std::future_status::ready);
  EXPECT_FALSE(lost.done.get()) << "the store must not count as one";
  expect_ok(submit(b, world, Direction::kRetrieve, world.objects(base_, kAlign), other.event()));
  ASSERT_EQ(devices_->status().size(), 1u);
  EXPECT_EQ(devices_->status()[0].error, "");
}

TEST_F(GpuDevice, AnEngineKilledDuringItsCopiesLeavesNothingBehind) {
  EngineProcess other;
  const KvCase kv = dense_model(40, 4), large = dense_model(160, 32);
  World world(kv, 256, 2, 43), mine(large, 256, 8, 44);
  const Worker b = register_world(other, world);
  expect_ok(submit(b, world, Direction::kStore, world.objects(base_, kAlign), other.event()));
  const std::uint64_t before = other.free_memory();
  std::vector<Outcome> lost;
  {
    EngineProcess engine;
    const Worker a = register_world(engine, mine);
    const auto objects = mine.objects(base_ + (kPool / 2), kAlign);
    for (const auto direction : {Direction::kStore, Direction::kRetrieve, Direction::kStore})
      lost.push_back(submit(a, mine, direction, objects, engine.event()));
    ASSERT_TRUE(lost.back().queued.get());
    engine.kill();  // some 15 ms of copies are ahead
    devices_->abandon(a.opened.memory);
  }
  expect_ok(submit(b, world, Direction::kStore, world.objects(base_, kAlign), other.event()));
  expect_objects(world, world);
  for (const Outcome& outcome : lost)
    EXPECT_EQ(outcome.done.wait_for(1s), std::future_status::ready);
  // The driver keeps some megabytes for later; the engine had 700, its lane 64.
  const auto given_back = [&] { return other.free_memory() + (16ull << 20) > before; };
  for (int i = 0; i < 100 && !given_back(); ++i) std::this_thread::sleep_for(10ms);
  EXPECT_TRUE(given_back());
  ASSERT_EQ(devices_->status().size(), 1u);
  EXPECT_EQ(devices_->status()[0].error, "");
}

TEST_F(GpuDevice, AnEngineThatLeavesDoesNotWaitForTheEventOfAnother) {
  EngineProcess slow, other;
  const KvCase kv = dense_model(40, 4);
  World world(kv, 256, 2, 45), theirs(kv, 256, 2, 46);
  const Worker a = register_world(slow, world);
  const Outcome store =
      submit(a, world, Direction::kStore, world.objects(base_, kAlign), slow.event(400ms));
  ASSERT_TRUE(store.queued.get());
  {
    // Comes, copies both ways and goes while the first one's copies are held back.
    const Worker b = register_world(other, theirs);
    const auto objects = theirs.objects(base_ + (kPool / 2), kAlign);
    expect_ok(submit(b, theirs, Direction::kStore, objects, other.event()));
    expect_ok(submit(b, theirs, Direction::kRetrieve, objects, other.event()));
  }
  EXPECT_EQ(store.done.wait_for(50ms), std::future_status::timeout);
  expect_ok(store);
  expect_objects(world, world);
  for (int i = 0; i < 100 && devices_->status()[0].workers > 1; ++i)
    std::this_thread::sleep_for(10ms);
  EXPECT_EQ(devices_->status()[0].workers, 1u);
}

TEST_F(GpuDevice, EnginesThatShareALaneDoNotWaitForOneAnother) {
  gpu::DeviceOptions options;
  options.staging_bytes = 64ull << 20;  // one lane
  devices_ = std::make_unique<Devices>(options, *pool_);
  EngineProcess slow, other;
  const KvCase kv = dense_model(40, 4);
  World world(kv, 256, 2, 47), theirs(kv, 256, 2, 48);
  const Worker a = register_world(slow, world), b = register_world(other, theirs);
  EXPECT_EQ(devices_->status()[0].staging_bytes, options.staging_bytes);
  const Outcome store =
      submit(a, world, Direction::kStore, world.objects(base_, kAlign), slow.event(400ms));
  const auto objects = theirs.objects(base_ + (kPool / 2), kAlign);
  expect_ok(submit(b, theirs, Direction::kStore, objects, other.event()));
  expect_ok(submit(b, theirs, Direction::kRetrieve, objects, other.event()));
  EXPECT_EQ(store.queued.wait_for(50ms), std::future_status::timeout) << "its event is not over";
  expect_ok(store);
  expect_objects(world, world);
}

TEST_F(GpuDevice, RegisteringAHundredTimesLeaksNothing) {
  EngineProcess engine;
  const std::uint32_t memory = engine.allocate(64 << 20);
  const auto once = [&] {
    auto opened = open({engine.descriptor(memory)});
    ASSERT_TRUE(opened) << opened.error().text;
  };
  const auto idle = [&] {
    for (int i = 0; i < 500 && devices_->status()[0].workers > 0; ++i)
      std::this_thread::sleep_for(10ms);
    std::this_thread::sleep_for(1500ms);  // the context goes a moment after its last user
  };
  const std::uint64_t before = engine.free_memory();
  for (int i = 0; i < 100; ++i) once();
  idle();
  EXPECT_EQ(engine.free_memory(), before);
}

TEST_F(GpuDevice, WhatCannotBeOpenedIsRefusedWithAReason) {
  EngineProcess engine;
  const std::uint32_t memory = engine.allocate(1 << 20);
  wire::Descriptor good = engine.descriptor(memory);
  wire::Descriptor large = good;
  std::get<wire::CudaRawMemory>(large.memory).nbytes = (1ull << 40);
  auto opened = open({large});
  ASSERT_FALSE(opened);
  EXPECT_NE(opened.error().text.find("a tensor claims"), std::string::npos) << opened.error().text;
  wire::Descriptor beyond = good;
  std::get<wire::CudaRawMemory>(beyond.memory).alloc_offset = UINT64_MAX - 5;
  EXPECT_FALSE(open({beyond}));
  wire::Descriptor garbage = good;
  std::get<wire::CudaRawMemory>(garbage.memory).handle.fill(std::byte{0x5A});
  opened = open({garbage});
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().cause, Cause::kBadSegment);
  wire::Descriptor elsewhere = good;
  elsewhere.device_uuid = "00000000-0000-0000-0000-000000000000";
  EXPECT_FALSE(open({elsewhere}));
  EXPECT_FALSE(open({good, elsewhere}));
  EXPECT_TRUE(open({good}));
}

TEST_F(GpuDevice, ABadEventFailsItsTransferOnly) {
  EngineProcess engine;
  const KvCase kv = dense_model(40, 4);
  World world(kv, 256, 2, 51);
  const Worker worker = register_world(engine, world);
  for (const std::size_t bytes : {std::size_t{64}, std::size_t{81}, std::size_t{7}}) {
    const Outcome outcome = submit(worker, world, Direction::kStore, world.objects(base_, kAlign),
                                   wire::Bytes(bytes, std::byte{0x5A}));
    EXPECT_FALSE(outcome.queued.get()) << bytes;
    EXPECT_FALSE(outcome.done.get()) << bytes;
  }
  expect_ok(submit(worker, world, Direction::kStore, world.objects(base_, kAlign), {}));
  expect_objects(world, world);
}

/// 81 bytes: version, handle of a buffer of 4096 words, offset, value; big-endian.
wire::Bytes timeline(const std::array<std::byte, 64>& buffer, std::uint64_t slot,
                     std::uint64_t value) {
  wire::Bytes handle(81);
  handle[0] = std::byte{1};
  std::memcpy(handle.data() + 1, buffer.data(), buffer.size());
  for (int i = 0; i < 8; ++i) {
    handle[static_cast<std::size_t>(65 + i)] = static_cast<std::byte>(slot * 8 >> (56 - 8 * i));
    handle[static_cast<std::size_t>(73 + i)] = static_cast<std::byte>(value >> (56 - 8 * i));
  }
  return handle;
}

TEST_F(GpuDevice, TimelineSemaphoresAreWaitedForAndAnsweredInKind) {
  EngineProcess engine;
  const KvCase kv = dense_model(40, 4);
  World world(kv, 256, 2, 61);
  const Worker worker = register_world(engine, world);
  const std::uint32_t words = engine.allocate(4096 * 8);
  const Outcome store = submit(worker, world, Direction::kStore, world.objects(base_, kAlign),
                               timeline(engine.handle(words), 3, 5));
  ASSERT_TRUE(store.queued.get());
  EXPECT_EQ(store.queued.get()->size(), 81u);
  EXPECT_EQ(store.done.wait_for(100ms), std::future_status::timeout);
  Bytes values(4096 * 8);
  values[3 * 8] = std::byte{5};
  engine.write(words, values);
  expect_ok(store);
  expect_objects(world, world);
}

}  // namespace
}  // namespace lmcache::test
