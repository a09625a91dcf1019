// Engines as they come, wait, die and leave: what one does must cost no other anything.
#include "gpu/gpu_device.hpp"

#include "page_copy.cuh"

#include <sys/mman.h>

#include <cstdlib>

namespace lmcache::test {
namespace {

TEST_F(GpuDevice, ARetrieveIsNotQueuedBehindAStoreThatMayStillFail) {
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
  EXPECT_EQ(retrieve.queued.wait_for(50ms), std::future_status::timeout);
  bool settled = false;
  devices_->when_settled(objects, {}, [&](bool) { settled = true; });
  EXPECT_FALSE(settled);
  ASSERT_TRUE(retrieve.queued.get());
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

TEST_F(GpuDevice, ARetrieveWaitsOnTheDeviceForACopyThatHasBegun) {
  EngineProcess writer, reader;
  const KvCase large = dense_model(160, 32), small = dense_model(40, 4);
  World world(large, 256, 8, 35), last(small, 256, 2, 36);
  const Worker a = register_world(writer, world), b = register_world(reader, last);
  // Some 15 ms of copies, then the one whose objects are wanted: its end is far away.
  std::vector<Outcome> ahead;
  for (int i = 0; i < 3; ++i)
    ahead.push_back(submit(a, world, Direction::kStore, world.objects(base_ + (kPool / 2), kAlign),
                           writer.event()));
  World source(small, 256, 2, 37);
  const Worker c = register_world(writer, source);
  const auto objects = source.objects(base_, kAlign);
  const Outcome store = submit(c, source, Direction::kStore, objects, writer.event());
  ASSERT_TRUE(store.queued.get());
  const Outcome retrieve = submit(b, last, Direction::kRetrieve, objects, reader.event());
  const auto event = retrieve.queued.get();
  ASSERT_TRUE(event) << event.error().text;
  reader.wait(*event);
  Bytes expected(source.object_bytes(kAlign) + kAlign);
  const auto stored = source.objects(expected.data(), kAlign);
  source.copy(Direction::kStore, stored, 0, 0);
  last.copy(Direction::kRetrieve, stored, 0, 0);
  expect_pages(reader, b, last);
  for (const Outcome& outcome : ahead) expect_ok(outcome);
  expect_ok(store);
  expect_ok(retrieve);
}

/// What L1 had in that place before may be anybody's.
TEST_F(GpuDevice, ARetrieveOfAStoreThatFailsCopiesNothing) {
  EngineProcess reader;
  const KvCase kv = dense_model(40, 4);
  World world(kv, 256, 2, 38), mine(kv, 256, 2, 39);
  const Worker b = register_world(reader, world);
  const auto objects = mine.objects(base_, kAlign);
  std::fill_n(base_, mine.object_bytes(kAlign), std::byte{0xEE});
  Outcome store, retrieve;
  {
    EngineProcess engine;
    const Worker a = register_world(engine, mine);
    store = submit(a, mine, Direction::kStore, objects, engine.event(60s));
    ASSERT_TRUE(store.queued.get());
    retrieve = submit(b, world, Direction::kRetrieve, objects, reader.event());
    engine.kill();
    devices_->abandon(a.opened.memory);
  }
  ASSERT_EQ(store.done.wait_for(1s), std::future_status::ready);
  EXPECT_FALSE(store.done.get());
  ASSERT_EQ(retrieve.queued.wait_for(1s), std::future_status::ready);
  EXPECT_FALSE(retrieve.queued.get());
  EXPECT_FALSE(retrieve.done.get());
  expect_pages(reader, b, world);
}

/// Its objects were withdrawn between the reader's pins and its request.
TEST_F(GpuDevice, ARetrieveOfWithdrawnObjectsFailsAtOnce) {
  EngineProcess engine;
  const KvCase kv = dense_model(40, 4);
  World world(kv, 256, 2, 40);
  const Worker worker = register_world(engine, world);
  std::promise<Status> done;
  gpu::Transfer transfer;
  transfer.direction = Direction::kRetrieve;
  transfer.memory = worker.opened.memory;
  transfer.geometry = world.geometry;
  transfer.bases = worker.bases;
  transfer.objects = world.objects(base_, kAlign);
  transfer.ids = world.ids;
  transfer.intact = [] { return false; };
  transfer.queued = [](const Result<wire::Bytes>& event) { EXPECT_FALSE(event); };
  transfer.done = [&](Status status) { done.set_value(std::move(status)); };
  devices_->submit(std::move(transfer));
  EXPECT_FALSE(done.get_future().get());
  expect_pages(engine, worker, world);
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
    for (auto& list : world.ids) std::rotate(list.begin(), list.begin() + 1, list.end());
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
  gpu::DeviceOptions options;
  options.staging_bytes = 256ull << 20;  // nobody's lane has to become smaller
  devices_ = std::make_unique<Devices>(options, *pool_);
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

TEST_F(GpuDevice, AnEngineForWhoseLaneThereIsNoMemoryHasHalfOfAnothers) {
  gpu::DeviceOptions options;
  options.staging_bytes = 256ull << 20;
  devices_ = std::make_unique<Devices>(options, *pool_);
  EngineProcess slow, other;
  const KvCase kv = dense_model(40, 4);
  World world(kv, 256, 2, 49), theirs(kv, 256, 2, 50);
  const Worker a = register_world(slow, world);
  const auto memories = put_into(other, theirs);
  static_cast<void>(other.allocate(other.free_memory() - (40ull << 20)));  // a lane takes 64 MiB
  const Outcome store =
      submit(a, world, Direction::kStore, world.objects(base_, kAlign), slow.event(300ms));
  ASSERT_TRUE(store.queued.get());
  const Worker b = register_memories(other, theirs, memories);
  EXPECT_EQ(devices_->status()[0].staging_bytes, 128ull << 20);
  const auto objects = theirs.objects(base_ + (kPool / 2), kAlign);
  const Outcome waits = submit(b, theirs, Direction::kStore, objects, other.event());
  EXPECT_EQ(waits.queued.wait_for(50ms), std::future_status::timeout) << "until it has passed";
  expect_ok(waits);
  expect_ok(store);
  expect_objects(world, world);
  for (int i = 0; i < 10; ++i) {
    const Outcome one =
        submit(a, world, Direction::kRetrieve, world.objects(base_, kAlign), slow.event());
    const Outcome both = submit(b, theirs, Direction::kStore, objects, other.event());
    expect_ok(one);
    expect_ok(both);
    expect_ok(submit(b, theirs, Direction::kRetrieve, objects, other.event()));
  }
  expect_pages(slow, a, world);
  expect_pages(other, b, theirs);
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

/// A DMA to it blocks the thread that alone can open the gate of the one before.
TEST_F(GpuDevice, UnpinnedMemoryIsNotCopiedBehindAClosedGate) {
  pool_->touch(true);
  std::byte* last_part = base_ + (kPool / 4 * 3);
  ASSERT_EQ(::mprotect(last_part, kAlign, PROT_NONE), 0);  // cannot be registered
  EngineProcess engine;
  const KvCase kv = dense_model(40, 4);
  World world(kv, 256, 2, 52);
  const Worker worker = register_world(engine, world);
  ASSERT_EQ(::mprotect(last_part, kAlign, PROT_READ | PROT_WRITE), 0);
  ASSERT_FALSE(pool_->pinned(last_part));
  ASSERT_TRUE(pool_->pinned(base_));
  const Outcome gated =
      submit(worker, world, Direction::kStore, world.objects(base_, kAlign), engine.event(300ms));
  ASSERT_TRUE(gated.queued.get());
  const Outcome blocking =
      submit(worker, world, Direction::kStore, world.objects(last_part, kAlign), engine.event());
  ASSERT_EQ(blocking.done.wait_for(5s), std::future_status::ready);
  expect_ok(gated);
  expect_ok(blocking);
  expect_objects(world, world);
}

/// As torch exports tensors: with an event of their first use, which may never come.
TEST_F(GpuDevice, TheFirstUseOfATensorIsWaitedForButNotByOthers) {
  gpu::DeviceOptions options;
  options.staging_bytes = 64ull << 20;  // one lane
  devices_ = std::make_unique<Devices>(options, *pool_);
  EngineProcess other;
  const KvCase kv = dense_model(40, 4);
  World world(kv, 256, 2, 53), theirs(kv, 256, 2, 54);
  Outcome late, never;
  {
    EngineProcess engine;
    const auto first = put_into(engine, world), second = put_into(engine, world);
    first_use_ = engine.event(2s);  // what the engine does from here on comes after that
    const Worker a = register_memories(engine, world, first);
    late = submit(a, world, Direction::kStore, world.objects(base_, kAlign), {});
    EXPECT_EQ(late.done.wait_for(50ms), std::future_status::timeout);
    expect_ok(late);
    expect_objects(world, world);
    first_use_ = engine.event(60s);
    const Worker dead = register_memories(engine, world, second);
    never = submit(dead, world, Direction::kStore, world.objects(base_, kAlign), {});
    first_use_.reset();
    const Worker b = register_world(other, theirs);
    const auto objects = theirs.objects(base_ + (kPool / 2), kAlign);
    expect_ok(submit(b, theirs, Direction::kStore, objects, other.event()));
    engine.kill();
    devices_->abandon(dead.opened.memory);
    devices_->abandon(a.opened.memory);
  }
  ASSERT_EQ(never.done.wait_for(1s), std::future_status::ready);
  EXPECT_FALSE(never.done.get());
  for (int i = 0; i < 100 && devices_->status()[0].workers > 0; ++i)
    std::this_thread::sleep_for(10ms);
  EXPECT_EQ(devices_->status()[0].workers, 0u) << "its memory can be closed";
}

TEST_F(GpuDevice, AHungEngineDoesNotKeepTheMemoryOfThoseThatLeave) {
  EngineProcess hung, other;
  const KvCase kv = dense_model(40, 4);
  World world(kv, 256, 2, 55), theirs(kv, 256, 2, 56);
  const Worker a = register_world(hung, world);
  {
    const Worker b = register_world(other, theirs);
    const Outcome store =
        submit(a, world, Direction::kStore, world.objects(base_, kAlign), hung.event(3s));
    ASSERT_TRUE(store.queued.get());
    const auto objects = theirs.objects(base_ + (kPool / 2), kAlign);
    expect_ok(submit(b, theirs, Direction::kStore, objects, other.event()));
    EXPECT_EQ(store.done.wait_for(0ms), std::future_status::timeout);
  }
  const auto left = [&] { return devices_->status()[0].workers == 1; };
  for (int i = 0; i < 100 && !left(); ++i) std::this_thread::sleep_for(10ms);
  EXPECT_TRUE(left()) << "within a second";
  // The hung one can go on, once it does.
  expect_ok(submit(a, world, Direction::kStore, world.objects(base_, kAlign), hung.event()));
  expect_objects(world, world);
}

TEST_F(GpuDevice, AHungEngineDoesNotHoldUpWhoSharesItsLaneLater) {
  gpu::DeviceOptions options;
  options.staging_bytes = 64ull << 20;  // one lane
  devices_ = std::make_unique<Devices>(options, *pool_);
  EngineProcess hung, other;
  const KvCase kv = dense_model(40, 4);
  World world(kv, 256, 2, 57), theirs(kv, 256, 2, 58);
  const Worker a = register_world(hung, world);
  const Outcome store =
      submit(a, world, Direction::kStore, world.objects(base_, kAlign), hung.event(10s));
  ASSERT_TRUE(store.queued.get()) << "it had the lane for itself";
  const Worker b = register_world(other, theirs);
  const auto objects = theirs.objects(base_ + (kPool / 2), kAlign);
  const Outcome theirs_stored = submit(b, theirs, Direction::kStore, objects, other.event());
  ASSERT_EQ(theirs_stored.done.wait_for(2s), std::future_status::ready);
  expect_ok(theirs_stored);
  EXPECT_FALSE(store.done.get());
  hung.kill();
  devices_->abandon(a.opened.memory);
}

TEST_F(GpuDevice, ARegistrationThatEndsIsNotWaitedForLong) {
  EngineProcess engine;
  const KvCase kv = dense_model(40, 4);
  World world(kv, 256, 2, 59);
  const Worker worker = register_world(engine, world);
  const auto objects = world.objects(base_, kAlign);
  const Outcome soon = submit(worker, world, Direction::kStore, objects, engine.event(100ms));
  ASSERT_TRUE(soon.queued.get());
  devices_->release(worker.opened.memory);
  expect_ok(soon);
  const Outcome late = submit(worker, world, Direction::kRetrieve, objects, engine.event(3s));
  ASSERT_EQ(late.done.wait_for(1s), std::future_status::ready);
  EXPECT_FALSE(late.queued.get());
  const Outcome after = submit(worker, world, Direction::kStore, objects, {});
  EXPECT_FALSE(after.queued.get()) << "submitted when it was over";
}

TEST_F(GpuDevice, RegisteringAndCopyingAHundredTimesLeaksNothing) {
  EngineProcess engine;
  World world(dense_model(40, 4), 256, 2, 62);
  std::vector<std::uint32_t> memories;
  for (const Bytes& segment : world.segments) {
    memories.push_back(engine.allocate(segment.size()));
    engine.write(memories.back(), segment);
  }
  const auto objects = world.objects(base_, kAlign);
  const auto once = [&] {
    const Worker worker = register_memories(engine, world, memories);
    expect_ok(submit(worker, world, Direction::kStore, objects, {}));
    expect_ok(submit(worker, world, Direction::kRetrieve, objects, {}));
    const Outcome last = submit(worker, world, Direction::kStore, objects, {});
    ASSERT_TRUE(last.queued.get());  // still under way when its engine leaves
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
  expect_objects(world, world);
}

TEST_F(GpuDevice, TwoGpusAreLetGoOfAtTheEnd) {
  if (count_gpus() < 2) GTEST_SKIP() << "ONE GPU: nothing here was tested";
  const KvCase kv = dense_model(40, 4);
  World world(kv, 256, 2, 63), theirs(kv, 256, 2, 64);
  for (const bool at_once : {true, false}) {
    devices_ = std::make_unique<Devices>(gpu::DeviceOptions{}, *pool_);
    EngineProcess engine, other(1);
    {
      const Worker a = register_world(engine, world), b = register_world(other, theirs);
      const auto objects = world.objects(base_, kAlign);
      expect_ok(submit(a, world, Direction::kStore, objects, engine.event(50ms)));
      expect_ok(submit(b, theirs, Direction::kRetrieve, objects, other.event()));
      Bytes expected(world.object_bytes(kAlign) + kAlign);
      const auto stored = world.objects(expected.data(), kAlign);
      world.copy(Direction::kStore, stored, 0, 0);
      theirs.copy(Direction::kRetrieve, stored, 0, 0);
      expect_pages(other, b, theirs);
      // The context that the pool is registered in stays for the other's sake.
      if (!at_once) std::this_thread::sleep_for(1500ms);
    }
    devices_.reset();
  }
}

/// What spoils it is met first by opening memory, without a transfer that could tell. In a process
/// of its own: the context is this process's too.
TEST_F(GpuDevice, ASpoiledContextIsNoticedAndSaid) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto spoil = [&] {
    EngineProcess engine;
    World world(dense_model(40, 4), 256, 2, 65);
    const Worker worker = register_world(engine, world);
    static_cast<void>(cudaSetDevice(0));
    kernels::PageBatch batch{};
    batch.sections = 1;
    batch.section[0] = {0, 0, 0, 1, 0, 1};  // of a group at address 0
    static_cast<void>(kernels::launch_page_copy(batch, kernels::PageDirection::kPack, 1, nullptr));
    EXPECT_NE(cudaDeviceSynchronize(), cudaSuccess);
    EXPECT_FALSE(open({engine.descriptor(worker.memories[0])}));
    EXPECT_NE(devices_->status()[0].error, "");
    const Outcome store =
        submit(worker, world, Direction::kStore, world.objects(base_, kAlign), {});
    EXPECT_FALSE(store.queued.get());
    EXPECT_FALSE(store.done.get());
    std::_Exit(HasFailure() ? 1 : 0);
  };
  EXPECT_EXIT(spoil(), testing::ExitedWithCode(0), "");
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
  EXPECT_TRUE(engine.wait_timeline(*store.queued.get()));
  expect_ok(store);
  expect_objects(world, world);

  fill_random(world.segments[0], 62);
  engine.write(worker.memories[0], world.segments[0]);
  const auto objects = world.objects(base_, kAlign);
  const Outcome retrieve =
      submit(worker, world, Direction::kRetrieve, objects, timeline(engine.handle(words), 3, 5));
  ASSERT_TRUE(retrieve.queued.get());
  EXPECT_TRUE(engine.wait_timeline(*retrieve.queued.get()));
  world.copy(Direction::kRetrieve, objects, 0, 0);
  expect_pages(engine, worker, world);
  expect_ok(retrieve);
}

}  // namespace
}  // namespace lmcache::test
