// Leases as requests make and end them, and the order of requests that do not wait for each other.
#include "support/harness.hpp"

#include <thread>

namespace lmcache::test {
namespace {

using wire::Op;

struct Leases : testing::Test {
  void SetUp() override {
    peer = harness.connect();
    worker.fill(7);
    ASSERT_EQ(error_text(harness.call(peer, Op::kRegisterKvCache, worker.registration())), "");
    ASSERT_TRUE(
        transfer_ok(harness.call(peer, Op::kStore, store_payload(key("s"), 1, ids_from(1, 8)))));
  }
  KeySpec key(const std::string& request, bool scheduler = false) const {
    KeySpec out;
    out.tokens = tokens_from(1, 128);
    out.end = 128;
    out.request = request;
    if (scheduler) out.worker.reset();
    return out;
  }
  Pending look_up(net::PeerId from, const std::string& request) {
    return harness.send(from, Op::kLookup, {pack_key(key(request, true)), Pack().integer(1)});
  }
  Pending query(net::PeerId from, const std::string& request) {
    return harness.send(from, Op::kQueryPrefetchStatus, {Pack().string(request)});
  }
  Pending wait(net::PeerId from, const std::string& request, double seconds) {
    return harness.send(from, Op::kWaitPrefetchStatus,
                        {Pack().string(request), Pack().real(seconds)});
  }
  Pending free(net::PeerId from, const std::string& request) {
    return harness.send(from, Op::kFreeLookupLocks,
                        {pack_key(key(request, true)), Pack().integer(1)});
  }
  Pending end(net::PeerId from, const std::string& request) {
    return harness.send(from, Op::kEndSession, {Pack().string(request)});
  }
  Pending retrieve(net::PeerId from, const std::string& request) {
    return harness.send(from, Op::kRetrieve, retrieve_payload(key(request), 1, ids_from(11, 8)));
  }
  static std::int64_t number(const Pending& pending) {
    std::int64_t out = -1;
    EXPECT_TRUE(payload_of(pending.get()).read_int(out));
    return out;
  }
  std::uint64_t pinned() { return harness.engine().cache().stats().pinned_chunks; }
  /// Runs everything that was posted to the request threads so far.
  void settle() { harness.call(peer, Op::kClear, {Pack().boolean(false)}); }

  Harness harness;
  net::PeerId peer = 0;
  DenseWorker worker{1, 40};
};

TEST_F(Leases, LookupQueryRetrieveWithoutWaitingInBetween) {
  const auto l = look_up(peer, "r");
  const auto q = query(peer, "r");
  const auto r = retrieve(peer, "r");
  const auto e = end(peer, "r");
  EXPECT_EQ(number(q), 4);
  EXPECT_TRUE(transfer_ok(r.get()));
  EXPECT_EQ(e.get().size(), 2u);
  EXPECT_EQ(l.get().size(), 2u);
  EXPECT_EQ(pinned(), 0u);
}

TEST_F(Leases, WaitGivesTheResultOnceAndZeroForTheUnknown) {
  look_up(peer, "r").get();
  EXPECT_EQ(number(wait(peer, "r", 10)), 4);
  EXPECT_EQ(number(wait(peer, "r", 10)), 0);
  EXPECT_EQ(number(wait(peer, "nobody", 10)), 0);
  EXPECT_EQ(number(query(peer, "nobody")), 0);
}

TEST_F(Leases, ARetrieveNeedsALookupOfItsOwn) {
  look_up(peer, "mine").get();
  EXPECT_FALSE(transfer_ok(retrieve(peer, "another").get()));
  EXPECT_TRUE(transfer_ok(retrieve(peer, "mine").get()));
  EXPECT_FALSE(transfer_ok(retrieve(peer, "mine").get()));
}

TEST_F(Leases, FreeThenEndBackToBackReleaseEverythingInOrder) {
  for (int round = 0; round < 100; ++round) {
    const std::string id = "r" + std::to_string(round);
    look_up(peer, id);
    free(peer, id);
    end(peer, id).get();
    EXPECT_EQ(pinned(), 0u) << round;
  }
}

TEST_F(Leases, AStoreSentBeforeUnregisterIsExecutedBeforeIt) {
  for (std::int64_t round = 0; round < 50; ++round) {
    harness.call(peer, Op::kRegisterKvCache, worker.registration());
    auto k = key("s" + std::to_string(round));
    k.tokens = tokens_from(static_cast<std::uint32_t>(100 + round), 128);
    const auto stored = harness.send(peer, Op::kStore, store_payload(k, 1, ids_from(1, 8)));
    const auto gone = harness.send(peer, Op::kUnregisterKvCache, {Pack().integer(1)});
    EXPECT_TRUE(transfer_ok(stored.get())) << round;
    EXPECT_EQ(gone.get().size(), 2u);
  }
}

TEST_F(Leases, ADeadConnectionsLeasesAndWorkersGo) {
  const auto engine = harness.connect();
  DenseWorker other(2, 40);
  ASSERT_EQ(error_text(harness.call(engine, Op::kRegisterKvCache, other.registration())), "");
  look_up(engine, "r").get();
  EXPECT_EQ(pinned(), 4u);
  const auto mapped = harness.engine().segments().mapped();
  harness.disconnect(engine);
  for (int tries = 0; harness.engine().segments().mapped() > mapped - 2 && tries < 10000; ++tries)
    settle();
  EXPECT_EQ(harness.engine().segments().mapped(), mapped - 2);
  EXPECT_EQ(harness.engine().instances().size(), 1u);
  EXPECT_EQ(pinned(), 0u);
}

TEST_F(Leases, ClearKeepsWhatIsLeasedEvenByForce) {
  look_up(peer, "r").get();
  harness.call(peer, Op::kClear, {Pack().boolean(false)});
  look_up(peer, "r2").get();
  EXPECT_EQ(number(query(peer, "r2")), 4);
  harness.call(peer, Op::kClear, {Pack().boolean(true)});
  look_up(peer, "r3").get();
  EXPECT_EQ(number(query(peer, "r3")), 0);
  worker.zero();
  EXPECT_TRUE(transfer_ok(retrieve(peer, "r").get()));
  EXPECT_NE(worker.page(0, 11), wire::Bytes(DenseWorker::kPage));
  end(peer, "r2").get();
  EXPECT_EQ(harness.engine().cache().stats().used_bytes, 0u);
}

TEST_F(Leases, UnusedLeasesLapse) {
  look_up(peer, "r").get();
  auto& engine = harness.engine();
  engine.maintain(engine::Clock::now() + engine.config().l1_read_ttl - std::chrono::seconds(5));
  EXPECT_EQ(pinned(), 4u);
  engine.maintain(engine::Clock::now() + engine.config().l1_read_ttl + std::chrono::seconds(5));
  EXPECT_EQ(pinned(), 0u);
  EXPECT_FALSE(transfer_ok(retrieve(peer, "r").get()));
}

TEST_F(Leases, AnIdUsedAgainWithOtherTokensStartsAfresh) {
  look_up(peer, "r").get();
  auto other = key("r");
  other.tokens = tokens_from(77, 128);
  ASSERT_TRUE(
      transfer_ok(harness.call(peer, Op::kStore, store_payload(other, 1, ids_from(21, 8)))));
  EXPECT_FALSE(
      transfer_ok(harness.call(peer, Op::kRetrieve, retrieve_payload(other, 1, ids_from(31, 8)))))
      << "the lease of the first tokens served others";
  other.worker.reset();
  harness.call(peer, Op::kLookup, {pack_key(other), Pack().integer(1)});
  EXPECT_EQ(number(query(peer, "r")), 4);
  other.worker = 0;
  ASSERT_TRUE(
      transfer_ok(harness.call(peer, Op::kRetrieve, retrieve_payload(other, 1, ids_from(31, 8)))));
  EXPECT_EQ(worker.page(0, 31), worker.page(0, 21));
}

// Whoever waits for a result that cannot come in time gets None; the result stays for the next who
// asks.
TEST_F(Leases, WaitTimesOutBehindALongRequestAndKeepsTheResult) {
  std::promise<void> open;
  const auto gate = open.get_future().share();
  DenseWorker big(3, 40);
  harness.call(peer, Op::kRegisterKvCache, big.registration());
  // A copy job of ours holds both copy threads, so the store of request "r" and all that is ordered
  // behind it must wait.
  std::atomic<int> holding{0};
  for (int i = 0; i < 2; ++i) {
    copy::CopyJob job;
    job.start_by = engine::Clock::now() + std::chrono::hours(1);
    job.done = [&, gate](const Status&) {
      ++holding;
      gate.wait();
    };
    harness.engine().copier().submit(std::move(job));
  }
  while (holding < 2) std::this_thread::yield();
  auto k = key("r");
  k.tokens = tokens_from(5, 128);
  const auto stored = harness.send(peer, Op::kStore, store_payload(k, 1, ids_from(1, 8)));
  k.worker.reset();
  harness.send(peer, Op::kLookup, {pack_key(k), Pack().integer(1)});
  std::vector<Pending> waits;
  for (int i = 0; i < 200; ++i) waits.push_back(wait(peer, "r", 0.01));
  const auto patient = wait(peer, "r", 600);
  for (const auto& one : waits) EXPECT_EQ(one.get().size(), 2u) << "None was expected";
  EXPECT_FALSE(patient.arrived());
  const auto other = harness.connect();
  EXPECT_EQ(number(query(other, "x")), 0) << "waiters held the request threads";
  open.set_value();
  EXPECT_TRUE(transfer_ok(stored.get()));
  EXPECT_EQ(number(patient), 4);
}

}  // namespace
}  // namespace lmcache::test
