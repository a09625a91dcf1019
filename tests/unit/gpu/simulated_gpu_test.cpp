// The GPU's thread on a simulated GPU: what waits for what, and what becomes of it when an engine
// hangs, dies or leaves. tests/gpu has the same on a real one.
#include "unit/gpu/simulated_gpu.hpp"

namespace lmcache::test {
namespace {

TEST_F(SimulatedGpu, StoresAndRetrieves) {
  for (const KvCase& kv : kv_cases()) {
    SCOPED_TRACE(kv.name);
    const std::uint32_t tokens = kv.name == "hybrid" ? 32 : 16;
    World world(kv, tokens, 2, 3);
    const Engine engine = enter(world);
    ASSERT_TRUE(submit(engine, world, Direction::kStore, objects(world)).good());
    expect_stored(world);
    World want(kv, tokens, 2, 3);
    for (std::size_t s = 0; s < world.segments.size(); ++s) {
      fill_random(want.segments[s], 50 + s);
      std::ranges::copy(want.segments[s], world.segments[s].begin());
    }
    ASSERT_TRUE(submit(engine, world, Direction::kRetrieve, objects(world)).good());
    want.copy(Direction::kRetrieve, objects(world), 0, 0);
    EXPECT_EQ(world.segments, want.segments);
  }
}

TEST_F(SimulatedGpu, AStoreIsAnsweredBeforeItsEventAndCopiesAfterIt) {
  const Engine engine = enter(mine_);
  const simulated::EngineEvent event;
  const Outcome store = submit(engine, mine_, Direction::kStore, objects(mine_), event.handle());
  ASSERT_TRUE(store.answered());
  EXPECT_TRUE(store.queued.get());
  EXPECT_FALSE(store.ended(20ms));
  fill_random(mine_.segments[0], 99);  // the engine's kernels are still at it
  simulated::EngineEvent(event).finish();
  ASSERT_TRUE(store.good());
  expect_stored(mine_);
}

TEST_F(SimulatedGpu, AnExpectedEventIsTheTransfersOwn) {
  const Engine engine = enter(mine_);
  simulated::EngineEvent mine, nobodys;
  devices_->expect({Direction::kStore, engine.opened.memory, nobodys.handle(), 1});
  devices_->expect({Direction::kStore, engine.opened.memory, mine.handle(), 1});
  devices_->expect({Direction::kStore, engine.opened.memory, wire::Bytes(64), 1});  // names nothing
  const Outcome store = submit(engine, mine_, Direction::kStore, objects(mine_), mine.handle());
  ASSERT_TRUE(store.answered());
  EXPECT_FALSE(store.ended(20ms));
  mine.finish();
  ASSERT_TRUE(store.good());
  expect_stored(mine_);
  const Outcome wrong = submit(engine, mine_, Direction::kStore, objects(mine_), wire::Bytes(64));
  ASSERT_TRUE(wrong.answered());
  EXPECT_FALSE(wrong.queued.get());
}

TEST_F(SimulatedGpu, ExpectationsThatComeToNothingDoNotPileUp) {
  const Engine engine = enter(mine_);
  simulated::EngineEvent over;
  over.finish();
  const int few = simulated::live_events();
  const auto until = std::chrono::steady_clock::now() + 50ms;  // some thousands
  int most = 0;
  while (std::chrono::steady_clock::now() < until) {
    devices_->expect({Direction::kStore, engine.opened.memory, over.handle(), 1});
    most = std::max(most, simulated::live_events());
  }
  EXPECT_GT(most, few);
  EXPECT_LT(most, few + 100);
  ASSERT_TRUE(submit(engine, mine_, Direction::kStore, objects(mine_), over.handle()).good());
  expect_stored(mine_);
}

TEST_F(SimulatedGpu, TheGpusTurnIsAskedForWhenAStoreIsExpectedAndItsEngineReady) {
  const Engine engine = enter(mine_);
  simulated::EngineEvent over, open;
  over.finish();
  const auto expect = [&](Direction direction, const simulated::EngineEvent& event,
                          std::uint64_t bytes) {
    devices_->expect({direction, engine.opened.memory, event.handle(), bytes});
    EXPECT_TRUE(submit(engine, mine_, Direction::kStore, objects(mine_)).good());  // it has run
    return simulated::empty_kernels();
  };
  EXPECT_EQ(expect(Direction::kStore, open, 64 << 20), 0);
  EXPECT_EQ(expect(Direction::kRetrieve, over, 64 << 20), 0);
  EXPECT_EQ(expect(Direction::kStore, over, 7 << 20), 0) << "it goes without a kernel";
  EXPECT_EQ(expect(Direction::kStore, over, 8 << 20), 1);
}

TEST_F(SimulatedGpu, EventsOfAStoreThatHangsDoNotKeepThoseOfOthers) {
  start(1, 2);
  const Engine hung = enter(mine_), engine = enter(theirs_);
  simulated::EngineEvent event;
  const Outcome store = submit(hung, mine_, Direction::kStore, objects(mine_), event.handle());
  ASSERT_TRUE(store.answered());
  const int few = simulated::live_events();
  for (int i = 0; i < 2500; ++i)
    ASSERT_TRUE(submit(engine, theirs_, Direction::kStore, objects(theirs_, 1)).good());
  EXPECT_LT(simulated::live_events(), few + 2048 + 50);  // marks, a spare, what is on its way
  event.finish();
  EXPECT_TRUE(store.good());
}

TEST_F(SimulatedGpu, AStoreWhoseEngineHangsIsGivenUpForThoseWhoWantIt) {
  gpu::DeviceOptions options;
  options.reader_patience = 50ms;
  start(1, 2, options);
  const Engine hung = enter(mine_), engine = enter(theirs_);
  const simulated::EngineEvent never;
  const Outcome store = submit(hung, mine_, Direction::kStore, objects(mine_), never.handle());
  ASSERT_TRUE(store.answered());
  EXPECT_FALSE(store.ended(200ms)) << "nobody wants it";
  const Outcome retrieve = submit(engine, theirs_, Direction::kRetrieve, objects(mine_));
  ASSERT_TRUE(store.ended());
  EXPECT_FALSE(store.done.get());
  ASSERT_TRUE(retrieve.ended());
  EXPECT_FALSE(retrieve.queued.get());

  const simulated::EngineEvent later;
  const Outcome again = submit(hung, mine_, Direction::kStore, objects(mine_), later.handle());
  ASSERT_TRUE(again.answered());
  std::promise<bool> settled;
  devices_->when_settled(objects(mine_), nullptr, [&](bool good) { settled.set_value(good); });
  EXPECT_FALSE(settled.get_future().get());
  EXPECT_TRUE(again.ended());
}

TEST_F(SimulatedGpu, AnIsolatedEngineIsAnsweredWithWhatItCanOpen) {
  gpu::DeviceOptions options;
  options.isolated_ipc = true;
  start(1, 1, options);
  const Engine engine = enter(mine_);
  const Outcome store = submit(engine, mine_, Direction::kStore, objects(mine_));
  ASSERT_TRUE(store.good());
  EXPECT_EQ(store.queued.get()->size(), 81u);
}

TEST_F(SimulatedGpu, ARetrieveIsHeldUntilTheStoreItReadsCannotFailAnyMore) {
  start(1, 2);
  const Engine a = enter(mine_), b = enter(theirs_);
  simulated::EngineEvent event;
  const Outcome store = submit(a, mine_, Direction::kStore, objects(mine_), event.handle());
  ASSERT_TRUE(store.answered());
  const Outcome retrieve = submit(b, theirs_, Direction::kRetrieve, objects(mine_));
  EXPECT_FALSE(retrieve.answered(20ms));
  simulated::pause(true);
  event.finish();
  ASSERT_TRUE(retrieve.answered()) << "it waits for the copy on the device";
  EXPECT_TRUE(retrieve.queued.get());
  EXPECT_FALSE(store.ended(20ms));
  simulated::pause(false);
  EXPECT_TRUE(store.good());
  EXPECT_TRUE(retrieve.good());
}

TEST_F(SimulatedGpu, ARetrieveOfAStoreThatFailsCopiesNothing) {
  start(1, 2);
  const Engine a = enter(mine_), b = enter(theirs_);
  const auto before = theirs_.segments;
  const simulated::EngineEvent event;
  const Outcome store = submit(a, mine_, Direction::kStore, objects(mine_), event.handle());
  ASSERT_TRUE(store.answered());
  const Outcome retrieve = submit(b, theirs_, Direction::kRetrieve, objects(mine_));
  devices_->abandon(a.opened.memory);
  ASSERT_TRUE(store.ended());
  EXPECT_FALSE(store.done.get());
  ASSERT_TRUE(retrieve.ended());
  EXPECT_FALSE(retrieve.queued.get());
  EXPECT_FALSE(retrieve.done.get());
  EXPECT_EQ(theirs_.segments, before);
  EXPECT_FALSE(submit(a, mine_, Direction::kStore, objects(mine_)).queued.get())
      << "submitted after its engine had gone";
}

/// A gate that is opened for a dead engine, or too late, must not let it write.
TEST_F(SimulatedGpu, ARetrieveWritesNothingBeforeItsEngineIsReady) {
  const Engine engine = enter(mine_);
  ASSERT_TRUE(submit(engine, mine_, Direction::kStore, objects(mine_)).good());
  fill_random(mine_.segments[0], 98);
  const auto before = mine_.segments;
  const simulated::EngineEvent event;
  const Outcome retrieve =
      submit(engine, mine_, Direction::kRetrieve, objects(mine_), event.handle());
  EXPECT_FALSE(retrieve.answered(20ms));
  devices_->release(engine.opened.memory);
  EXPECT_FALSE(retrieve.answered(20ms)) << "an engine that only unregisters has half a second";
  ASSERT_TRUE(retrieve.ended());
  EXPECT_FALSE(retrieve.done.get());
  EXPECT_EQ(mine_.segments, before);
}

TEST_F(SimulatedGpu, UnpinnedMemoryIsNotCopiedBehindAClosedGate) {
  simulated::refuse_to_pin(base() + part_);
  const Engine engine = enter(mine_);
  ASSERT_TRUE(pool_->pinned(base()));
  ASSERT_FALSE(pool_->pinned(base() + part_));
  simulated::EngineEvent event;
  const Outcome gated = submit(engine, mine_, Direction::kStore, objects(mine_), event.handle());
  ASSERT_TRUE(gated.answered());
  const Outcome blocking = submit(engine, mine_, Direction::kStore, objects(mine_, 1));
  EXPECT_FALSE(blocking.answered(20ms));
  event.finish();
  EXPECT_TRUE(gated.good());
  EXPECT_TRUE(blocking.good());
  expect_stored(mine_, 1);
}

TEST_F(SimulatedGpu, TheFirstUseOfATensorThatNeverComesCostsNobodyElse) {
  simulated::EngineEvent soon;
  const simulated::EngineEvent never;
  const Engine b = enter(theirs_);
  Outcome lost;
  {
    const Engine a = enter(mine_, 0, soon.handle());
    const Outcome store = submit(a, mine_, Direction::kStore, objects(mine_));
    EXPECT_FALSE(store.ended(20ms));
    soon.finish();
    EXPECT_TRUE(store.good());
    World dead(dense_model(20, 2), 64, 2, 4);
    const Engine c = enter(dead, 0, never.handle());
    lost = submit(c, dead, Direction::kStore, objects(dead));
    EXPECT_TRUE(submit(b, theirs_, Direction::kStore, objects(theirs_, 1)).good());
    devices_->abandon(c.opened.memory);
    ASSERT_TRUE(lost.ended());
    EXPECT_FALSE(lost.done.get());
  }
  EXPECT_TRUE(workers_become(1));
}

TEST_F(SimulatedGpu, AHungEngineDoesNotKeepTheMemoryOfThoseThatLeave) {
  start(1, 2);
  const Engine hung = enter(mine_);
  const simulated::EngineEvent event;
  Outcome store;
  {
    const Engine other = enter(theirs_);
    store = submit(hung, mine_, Direction::kStore, objects(mine_), event.handle());
    ASSERT_TRUE(store.answered());
    EXPECT_TRUE(submit(other, theirs_, Direction::kStore, objects(theirs_, 1)).good());
  }
  EXPECT_FALSE(workers_become(1, 100ms));
  const simulated::EngineEvent next;
  const Outcome later = submit(hung, mine_, Direction::kStore, objects(mine_, 1), next.handle());
  EXPECT_FALSE(later.answered(20ms)) << "no gate is closed while something waits to be freed";
  EXPECT_TRUE(workers_become(1));
  EXPECT_TRUE(store.ended());
  EXPECT_FALSE(store.done.get());
  simulated::EngineEvent(next).finish();
  EXPECT_TRUE(later.good()) << "it costs the hung engine's first store only";
}

TEST_F(SimulatedGpu, AHungEngineDoesNotHoldUpWhoSharesItsLaneLater) {
  const Engine hung = enter(mine_);
  const simulated::EngineEvent event;
  const Outcome store = submit(hung, mine_, Direction::kStore, objects(mine_), event.handle());
  ASSERT_TRUE(store.answered());
  const Engine other = enter(theirs_);
  EXPECT_TRUE(submit(other, theirs_, Direction::kStore, objects(theirs_, 1)).good());
  EXPECT_TRUE(store.ended());
  EXPECT_FALSE(store.done.get());
}

TEST_F(SimulatedGpu, TheCopyEnginesAreJudgedByAllTheTimeThatTheyTake) {
  World world(dense_model(62, 2), 64, 15, 5);  // large enough for a choice
  const Engine engine = enter(world);
  simulated::slow_rectangles(1ms);
  for (int i = 0; i < 12; ++i)
    ASSERT_TRUE(submit(engine, world, Direction::kStore, objects(world)).good());
  devices_->stop();
  EXPECT_EQ(devices_->status()[0].direct_transfers, 1) << "tried once, and found to be slower";
}

TEST_F(SimulatedGpu, ASpoiledContextIsNoticedWhereverItIsMet) {
  Engine engine = enter(mine_);
  simulated::spoil();
  EXPECT_FALSE(open(theirs_, 0)) << "a lane cannot be made";
  EXPECT_NE(devices_->status()[0].error, "");
  const Outcome store = submit(engine, mine_, Direction::kStore, objects(mine_));
  ASSERT_TRUE(store.ended());
  EXPECT_FALSE(store.queued.get());
  EXPECT_FALSE(store.done.get());
  engine = {};
  for (int i = 0; i < 600 && simulated::resets() == 0; ++i) std::this_thread::sleep_for(5ms);
  EXPECT_EQ(simulated::resets(), 1) << "its context is made anew";
  engine = enter(mine_);
  EXPECT_TRUE(submit(engine, mine_, Direction::kStore, objects(mine_)).good());
}

TEST_F(SimulatedGpu, ASpoiledContextIsNoticedWhereATransferBegins) {
  const Engine engine = enter(mine_);
  simulated::spoil();
  const Outcome store = submit(engine, mine_, Direction::kStore, objects(mine_));
  ASSERT_TRUE(store.ended());
  EXPECT_FALSE(store.queued.get());
  EXPECT_FALSE(store.done.get());
  EXPECT_NE(devices_->status()[0].error, "");
}

TEST_F(SimulatedGpu, TablesThatCouldNotBeUploadedAreUploadedAgain) {
  const Engine engine = enter(mine_);
  simulated::fail_next_copy();
  EXPECT_FALSE(submit(engine, mine_, Direction::kStore, objects(mine_)).queued.get());
  EXPECT_EQ(devices_->status()[0].error, "") << "an error of the call alone";
  EXPECT_TRUE(submit(engine, mine_, Direction::kStore, objects(mine_)).good());
  expect_stored(mine_);
}

TEST_F(SimulatedGpu, TwoGpusCopyForOneAnotherAndAreLetGoOfAtTheEnd) {
  for (const auto linger : {0ms, 1500ms}) {
    start(2, 1);
    {
      const Engine a = enter(mine_, 0), b = enter(theirs_, 1);
      const Outcome store = submit(a, mine_, Direction::kStore, objects(mine_));
      ASSERT_TRUE(store.answered());
      EXPECT_TRUE(submit(b, theirs_, Direction::kRetrieve, objects(mine_)).good());
      EXPECT_TRUE(store.good());
    }
    std::this_thread::sleep_for(linger);
    devices_.reset();
    EXPECT_EQ(simulated::resets(), 2);
  }
}

}  // namespace
}  // namespace lmcache::test
