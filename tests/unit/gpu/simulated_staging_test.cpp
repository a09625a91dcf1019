// Who has which staging memory of a GPU, and what becomes of it when engines come and go.
#include "gpu/staging.hpp"

#include "unit/gpu/simulated_gpu.hpp"

#include <optional>

namespace lmcache::test {
namespace {

constexpr std::uint64_t kMiB = 1 << 20, kSlot = 16 * kMiB;

/// Pages are too small for the copy engines alone, so that all goes through slots.
KvCase small_pages() {
  KvCase kv = dense_model(260, 28);
  kv.made.tensors.assign(28, dense("bfloat16", {260, 2, 16, 1, 128}));
  return kv;
}

class SimulatedStaging : public SimulatedGpu {
 protected:
  static constexpr std::uint64_t kBytes = 56 * kMiB;  ///< of a world: enough for a batch of 24 MiB

  SimulatedStaging() : SimulatedGpu(kBytes) {}

  static World world(std::uint64_t seed) { return {small_pages(), 256, 16, seed}; }

  [[nodiscard]] std::uint64_t staging_mib() const {
    return devices_->status()[0].staging_bytes / kMiB;
  }

  /// Stores, spoils the pages and retrieves them. Returns the largest DMA.
  std::size_t expect_moves(const Engine& engine, World& world, std::uint64_t part = 0) {
    static_cast<void>(simulated::largest_copy());
    EXPECT_TRUE(submit(engine, world, Direction::kStore, objects(world, part)).good());
    expect_stored(world, part);
    const std::size_t largest = simulated::largest_copy();
    for (Bytes& segment : world.segments) std::ranges::fill(segment, std::byte{0x5a});
    EXPECT_TRUE(submit(engine, world, Direction::kRetrieve, objects(world, part)).good());
    expect_stored(world, part);
    EXPECT_EQ(devices_->status()[0].direct_transfers, 0);
    EXPECT_EQ(largest > kSlot, simulated::largest_copy() > kSlot) << "both ways are equally wide";
    return largest;
  }

  /// Both ways of both engines have work on the GPU at the same time.
  void expect_both_move(const Engine& first, World& one, const Engine& second, World& other) {
    simulated::pause(true);
    const Outcome store = submit(first, one, Direction::kStore, objects(one, 0));
    const Outcome beside = submit(second, other, Direction::kStore, objects(other, 1));
    EXPECT_TRUE(store.answered());
    EXPECT_TRUE(beside.answered());
    simulated::pause(false);
    EXPECT_TRUE(store.good());
    EXPECT_TRUE(beside.good());
    expect_stored(one, 0);
    expect_stored(other, 1);
    EXPECT_LE(expect_moves(first, one, 0), kSlot);
    EXPECT_LE(expect_moves(second, other, 1), kSlot);
  }

  World a_ = world(1), b_ = world(2);
};

TEST_F(SimulatedStaging, WhoIsAloneInAPairHasContiguousSlotsOfTwiceTheSize) {
  gpu::Staging staging(2 * gpu::kSlotsPerLane * kSlot);
  auto berth = staging.take();
  ASSERT_TRUE(berth);
  EXPECT_EQ(staging.bytes(), 128 * kMiB);
  EXPECT_FALSE(staging.take()) << "no more than that is ever allocated";
  std::byte* const start = berth->slot(0);
  const auto expect_wide = [&](const gpu::Berth& one) {
    EXPECT_TRUE(one.wide());
    EXPECT_EQ(one.slot_bytes(), 2 * kSlot);
    for (std::uint64_t k = 0; k < gpu::kSlotsPerLane; ++k)
      EXPECT_EQ(one.slot(k), start + k * 2 * kSlot);
  };
  const auto expect_narrow = [&](const gpu::Berth& one, std::uint64_t offset) {
    EXPECT_FALSE(one.wide());
    EXPECT_EQ(one.slot_bytes(), kSlot);
    for (std::uint64_t k = 0; k < gpu::kSlotsPerLane; ++k)
      EXPECT_EQ(one.slot(k), start + k * 2 * kSlot + offset);
  };
  expect_wide(*berth);
  std::optional<gpu::Berth> first = std::move(*berth), second = first->half();
  expect_narrow(*first, 0);
  expect_narrow(*second, kSlot);
  first.reset();
  expect_wide(*second);
  first.emplace(second->half());
  expect_narrow(*first, 0);
  expect_narrow(*second, kSlot);
  second.reset();
  expect_wide(*first);
  EXPECT_EQ(staging.bytes(), 128 * kMiB);
  first.reset();
  EXPECT_EQ(staging.bytes(), 0);
}

TEST_F(SimulatedStaging, AnEngineThatIsAloneHasTheHalfBesideUntilAnotherComes) {
  start(1, 2);
  const Engine a = enter(a_);
  EXPECT_EQ(staging_mib(), 128);
  EXPECT_GT(expect_moves(a, a_), kSlot);
  const Engine b = enter(b_);
  EXPECT_EQ(staging_mib(), 128);
  expect_both_move(a, a_, b, b_);
}

TEST_F(SimulatedStaging, ANewcomerWaitsForWhatIsStillToPassItsSlots) {
  start(1, 2);
  const Engine a = enter(a_);
  simulated::pause(true);
  const Outcome store = submit(a, a_, Direction::kStore, objects(a_));
  ASSERT_TRUE(store.answered());
  EXPECT_GT(simulated::largest_copy(), kSlot);
  const Engine b = enter(b_);
  const Outcome narrow = submit(a, a_, Direction::kStore, objects(a_));
  ASSERT_TRUE(narrow.answered()) << "whoever gives up half has the other still";
  EXPECT_LE(simulated::largest_copy(), kSlot);
  const Outcome waits = submit(b, b_, Direction::kStore, objects(b_, 1));
  EXPECT_FALSE(waits.answered(20ms));
  EXPECT_EQ(simulated::largest_copy(), 0) << "nothing is enqueued";
  simulated::pause(false);
  EXPECT_TRUE(store.good());
  EXPECT_TRUE(narrow.good());
  EXPECT_TRUE(waits.good());
  expect_stored(a_);
  expect_stored(b_, 1);
  expect_both_move(a, a_, b, b_);
}

TEST_F(SimulatedStaging, WhatIsEnqueuedInPartGoesOnWithTheHalfThatIsLeft) {
  start(1, 2);
  const Engine a = enter(a_);
  for (const auto& [world, part] : {std::pair(&a_, 0ull), std::pair(&b_, 1ull)}) {
    world->copy(Direction::kStore, objects(*world, part), 0, 0);
    for (Bytes& segment : world->segments) std::ranges::fill(segment, std::byte{0x5a});
  }
  simulated::pause(true);
  std::vector<Outcome> retrieves;  // more batches than are ever ahead of a GPU
  for (int i = 0; i < 24; ++i)
    retrieves.push_back(submit(a, a_, Direction::kRetrieve, objects(a_)));
  ASSERT_TRUE(retrieves.front().answered());
  ASSERT_FALSE(retrieves.back().answered(20ms));
  const Engine b = enter(b_);
  retrieves.push_back(submit(b, b_, Direction::kRetrieve, objects(b_, 1)));
  simulated::pause(false);
  for (const Outcome& retrieve : retrieves) EXPECT_TRUE(retrieve.good());
  expect_stored(a_);
  expect_stored(b_, 1);
}

TEST_F(SimulatedStaging, ANewcomerWaitsForAnEngineThatIsStillToStart) {
  start(1, 2);
  const Engine a = enter(a_);
  simulated::EngineEvent event;
  const Outcome store = submit(a, a_, Direction::kStore, objects(a_), event.handle());
  ASSERT_TRUE(store.answered());
  const Engine b = enter(b_);
  const Outcome waits = submit(b, b_, Direction::kStore, objects(b_, 1));
  EXPECT_FALSE(waits.answered(20ms));
  event.finish();
  EXPECT_TRUE(store.good());
  EXPECT_TRUE(waits.good());
  expect_stored(a_);
  expect_stored(b_, 1);
}

TEST_F(SimulatedStaging, AHungEngineDoesNotKeepTheHalfThatItHasGivenUp) {
  start(1, 2);
  const Engine hung = enter(a_);
  const simulated::EngineEvent never;
  const Outcome store = submit(hung, a_, Direction::kStore, objects(a_), never.handle());
  ASSERT_TRUE(store.answered());
  const Engine b = enter(b_);
  EXPECT_TRUE(submit(b, b_, Direction::kStore, objects(b_, 1)).good());
  ASSERT_TRUE(store.ended());
  EXPECT_FALSE(store.done.get());
  const simulated::EngineEvent late;
  const Outcome next = submit(hung, a_, Direction::kStore, objects(a_), late.handle());
  EXPECT_TRUE(next.answered()) << "gates are closed again";
  simulated::EngineEvent(late).finish();
  EXPECT_TRUE(next.good()) << "it costs the hung engine's first store only";
  expect_both_move(hung, a_, b, b_);
}

TEST_F(SimulatedStaging, AnEngineThatFindsNoHalfSharesALane) {
  start(1, 2);
  World third = world(3);
  const Engine a = enter(a_), b = enter(b_), c = enter(third);
  EXPECT_EQ(staging_mib(), 128);
  simulated::EngineEvent event;
  const Outcome store = submit(c, third, Direction::kStore, objects(third), event.handle());
  EXPECT_FALSE(store.answered(20ms)) << "nobody in a shared lane waits for its event";
  event.finish();
  EXPECT_TRUE(store.good());
  EXPECT_LE(expect_moves(c, third), kSlot);
  expect_both_move(a, a_, b, b_);
}

TEST_F(SimulatedStaging, WhoeverStaysHasTheHalfOfWhoGoes) {
  start(1, 2);
  std::optional<Engine> a = enter(a_), b = enter(b_);
  b.reset();
  ASSERT_TRUE(workers_become(1));
  EXPECT_GT(expect_moves(*a, a_), kSlot);
  b = enter(b_);
  expect_both_move(*a, a_, *b, b_);
  a.reset();
  ASSERT_TRUE(workers_become(1));
  EXPECT_EQ(staging_mib(), 128);
  EXPECT_GT(expect_moves(*b, b_, 1), kSlot);
  a = enter(a_);
  expect_both_move(*a, a_, *b, b_);
}

TEST_F(SimulatedStaging, AllocatesNoMoreThanItMay) {
  const std::vector<std::vector<std::uint64_t>> mib_by_engines{
      {64, 64, 64}, {128, 128, 128}, {128, 192, 192, 192}, {128, 256, 256, 256, 256}};
  for (std::size_t lanes = 1; lanes <= mib_by_engines.size(); ++lanes) {
    SCOPED_TRACE(lanes);
    start(1, lanes);
    std::vector<Engine> engines;
    for (const std::uint64_t mib : mib_by_engines[lanes - 1]) {
      engines.push_back(enter(mine_));
      EXPECT_EQ(staging_mib(), mib);
    }
    engines.clear();
    EXPECT_TRUE(workers_become(0));
    EXPECT_EQ(staging_mib(), 0);
  }
}

TEST_F(SimulatedStaging, MakesDoWithWhatTheGpuHas) {
  start(1, 4);
  simulated::limit_allocations(kMiB);
  const auto refused = open(mine_, 0);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().cause, Cause::kNoMemory);
  simulated::limit_allocations(64 * kMiB);
  const Engine a = enter(a_);
  EXPECT_EQ(staging_mib(), 64) << "a single berth, as there is no room for a pair";
  EXPECT_LE(expect_moves(a, a_), kSlot);
  simulated::limit_allocations(SIZE_MAX);
  const Engine b = enter(b_);
  EXPECT_EQ(staging_mib(), 192);
  EXPECT_GT(expect_moves(b, b_, 1), kSlot);
  simulated::limit_allocations(kMiB);
  const Engine c = enter(mine_);
  EXPECT_EQ(staging_mib(), 192) << "half of what another has, though it might have its own";
  expect_both_move(a, a_, b, b_);
}

}  // namespace
}  // namespace lmcache::test
