// Requests of GPU workers through the whole engine, on a simulated GPU: what is answered when
// another's copy is still to come.
#include "support/harness.hpp"
#include "unit/gpu/simulated_layers.hpp"

namespace lmcache::test {
namespace {

using wire::Op;

constexpr std::int64_t kChunk = 32;

/// A dense engine as DenseWorker is, with its layers on the GPU.
class GpuWorker {
 public:
  explicit GpuWorker(std::int64_t id, std::size_t blocks = 40) : id_(id), blocks_(blocks) {
    for (wire::Bytes& layer : layers_) layer.resize(blocks * DenseWorker::kPage);
  }

  [[nodiscard]] Frames registration() const {
    Frames frames = DenseWorker(id_, blocks_).registration();
    frames[1] = layer_descriptors(layers_, static_cast<std::int64_t>(blocks_));
    return frames;
  }
  void fill(int value) {
    for (wire::Bytes& layer : layers_) std::ranges::fill(layer, static_cast<std::byte>(value));
  }
  [[nodiscard]] bool holds_only(int value) const {
    return std::ranges::all_of(layers_, [value](const wire::Bytes& layer) {
      return std::ranges::count(layer, static_cast<std::byte>(value)) ==
             static_cast<std::ptrdiff_t>(layer.size());
    });
  }
  [[nodiscard]] std::int64_t id() const { return id_; }

 private:
  std::int64_t id_;
  std::size_t blocks_;
  wire::Bytes layers_[2];
};

class SimulatedEngine : public testing::Test {
 protected:
  void SetUp() override {
    simulated::reset(1);
    harness_.emplace();
    first_ = enter(a_);
    second_ = enter(b_);
    // Copies to memory that is not pinned yet are not queued before they may run.
    const auto pinned = [&] { return harness_->engine().pinned_pool().status(); };
    while (pinned().pinned_bytes < pinned().total_bytes) std::this_thread::yield();
    a_.fill(1);
    b_.fill(2);
  }
  void TearDown() override {
    harness_.reset();
    EXPECT_FALSE(simulated::deadlocked());
    EXPECT_EQ(simulated::open_memories(), 0);
  }

  net::PeerId enter(const GpuWorker& worker) {
    const net::PeerId peer = harness_->connect();
    EXPECT_EQ(error_text(harness_->call(peer, Op::kRegisterKvCache, worker.registration())), "");
    return peer;
  }
  static KeySpec key(std::uint32_t seed, std::int64_t chunks, const std::string& request) {
    KeySpec out;
    out.tokens = tokens_from(seed, static_cast<std::size_t>(chunks * kChunk));
    out.end = chunks * kChunk;
    out.request = request;
    return out;
  }
  Pending store(net::PeerId peer, const GpuWorker& worker, const KeySpec& key,
                const wire::Bytes& event = {}) {
    return store(peer, worker, key, event, ids_from(1, 2 * key.tokens.size() / kChunk));
  }
  Pending store(net::PeerId peer, const GpuWorker& worker, const KeySpec& key,
                const wire::Bytes& event, const std::vector<std::int64_t>& ids) {
    Frames payload = store_payload(key, worker.id(), ids);
    payload[3] = Pack().binary({reinterpret_cast<const char*>(event.data()), event.size()});
    return harness_->send(peer, Op::kStore, payload);
  }
  Pending retrieve(net::PeerId peer, const GpuWorker& worker, const KeySpec& key) {
    return harness_->send(
        peer, Op::kRetrieve,
        retrieve_payload(key, worker.id(), ids_from(1, 2 * key.tokens.size() / kChunk)));
  }
  std::int64_t lookup(net::PeerId peer, KeySpec k) {
    k.worker.reset();
    EXPECT_EQ(harness_->call(peer, Op::kLookup, {pack_key(k), Pack().integer(1)}).size(), 2u);
    const Frames reply = harness_->call(peer, Op::kQueryPrefetchStatus, {Pack().string(k.request)});
    std::int64_t hit = -1;
    EXPECT_TRUE(payload_of(reply).read_int(hit));
    return hit;
  }
  static bool arrives(const Pending& pending) {
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    return pending.arrived();
  }
  bool used_becomes(std::uint64_t bytes) {
    for (int i = 0; i < 400 && harness_->engine().cache().stats().used_bytes != bytes; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    return harness_->engine().cache().stats().used_bytes == bytes;
  }

  GpuWorker a_{1}, b_{2};
  std::optional<Harness> harness_;
  net::PeerId first_ = 0, second_ = 0;
};

TEST_F(SimulatedEngine, AStoreIsVisibleAtOnceAndRetrievedWhenItsEventIsOver) {
  simulated::EngineEvent event;
  ASSERT_TRUE(transfer_ok(store(first_, a_, key(1, 3, "s"), event.handle()).get()));
  ASSERT_EQ(lookup(second_, key(1, 3, "r")), 3);
  const Pending pending = retrieve(second_, b_, key(1, 3, "r"));
  EXPECT_FALSE(arrives(pending));
  EXPECT_TRUE(transfer_ok(store(second_, b_, key(2, 1, "x")).get()))
      << "its later requests do not wait with it";
  event.finish();
  EXPECT_TRUE(transfer_ok(pending.get()));
}

TEST_F(SimulatedEngine, ARetrieveOfAStoreWhoseEngineDiesFailsAndBringsNothing) {
  const simulated::EngineEvent event;
  ASSERT_TRUE(transfer_ok(store(first_, a_, key(1, 3, "s"), event.handle()).get()));
  ASSERT_EQ(lookup(second_, key(1, 3, "r")), 3);
  const Pending pending = retrieve(second_, b_, key(1, 3, "r"));
  EXPECT_FALSE(arrives(pending));
  harness_->disconnect(first_);
  EXPECT_FALSE(transfer_ok(pending.get()));
  EXPECT_TRUE(used_becomes(0)) << "nothing of it is kept";
  EXPECT_EQ(lookup(second_, key(1, 3, "again")), 0);
  EXPECT_TRUE(b_.holds_only(2));
}

TEST_F(SimulatedEngine, WhatAnotherStillStoresIsStoredWhenThatHasEnded) {
  simulated::EngineEvent event;
  ASSERT_TRUE(transfer_ok(store(first_, a_, key(1, 3, "s"), event.handle()).get()));
  const Pending same = store(second_, b_, key(1, 3, "t"));
  const Pending longer = store(second_, b_, key(1, 4, "u"));
  EXPECT_FALSE(arrives(same));
  EXPECT_FALSE(longer.arrived());
  EXPECT_TRUE(transfer_ok(store(second_, b_, key(2, 1, "x")).get()));
  event.finish();
  EXPECT_TRUE(transfer_ok(same.get()));
  EXPECT_TRUE(transfer_ok(longer.get()));
  EXPECT_TRUE(transfer_ok(store(second_, b_, key(1, 3, "v")).get()));
}

TEST_F(SimulatedEngine, WhatAnotherFailsToStoreIsNotStored) {
  const simulated::EngineEvent event;
  ASSERT_TRUE(transfer_ok(store(first_, a_, key(1, 3, "s"), event.handle()).get()));
  const Pending same = store(second_, b_, key(1, 3, "t"));
  EXPECT_FALSE(arrives(same));
  harness_->disconnect(first_);
  EXPECT_FALSE(transfer_ok(same.get()));
  EXPECT_TRUE(used_becomes(0));
  EXPECT_TRUE(transfer_ok(store(second_, b_, key(1, 3, "u")).get()));
  EXPECT_EQ(lookup(second_, key(1, 3, "r")), 3);
}

TEST_F(SimulatedEngine, TheGpuHearsOfALargeStoreWhenItArrives) {
  simulated::EngineEvent over;
  over.finish();
  const std::vector<std::int64_t> few(2, 1), many(8192, 1);  // what is announced counts
  ASSERT_TRUE(transfer_ok(store(first_, a_, key(1, 1, "s"), over.handle(), few).get()));
  EXPECT_EQ(simulated::empty_kernels(), 0);
  for (std::uint32_t seed = 2; seed < 100 && simulated::empty_kernels() == 0; ++seed) {
    // It is told after the request has been passed on, which may be faster.
    ASSERT_TRUE(transfer_ok(store(first_, a_, key(seed, 1, "t"), over.handle(), many).get()));
  }
  EXPECT_GT(simulated::empty_kernels(), 0);
}

TEST_F(SimulatedEngine, UnregisteringAndReplacingEndTheWaitForAnEvent) {
  const simulated::EngineEvent event, other;
  ASSERT_TRUE(transfer_ok(store(first_, a_, key(1, 1, "s"), event.handle()).get()));
  ASSERT_TRUE(transfer_ok(store(second_, b_, key(2, 1, "s"), other.handle()).get()));
  static_cast<void>(harness_->call(first_, Op::kUnregisterKvCache, {Pack().integer(a_.id())}));
  EXPECT_EQ(error_text(harness_->call(second_, Op::kRegisterKvCache, b_.registration())), "");
  EXPECT_TRUE(used_becomes(0));
}

}  // namespace
}  // namespace lmcache::test
