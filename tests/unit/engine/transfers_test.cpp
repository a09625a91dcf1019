// Stores and retrieves through the whole engine: what they copy, what they refuse, what they leave
// behind.
#include "support/harness.hpp"

namespace lmcache::test {
namespace {

using wire::Op;

constexpr std::int64_t kChunk = 32, kIdsPerChunk = 2;

struct Transfers : testing::Test {
  void SetUp() override {
    peer = harness.connect();
    worker.fill(7);
    register_worker(worker);
  }
  void register_worker(const DenseWorker& w) {
    const Frames reply = harness.call(peer, Op::kRegisterKvCache, w.registration());
    ASSERT_EQ(error_text(reply), "");
  }
  KeySpec key(std::int64_t chunks, const std::string& request = "r") const {
    KeySpec out;
    out.tokens = tokens;
    out.tokens.resize(static_cast<std::size_t>(chunks * kChunk));
    out.end = chunks * kChunk;
    out.request = request;
    return out;
  }
  bool store(const KeySpec& k, const std::vector<std::int64_t>& ids, std::int64_t instance = 1) {
    return transfer_ok(harness.call(peer, Op::kStore, store_payload(k, instance, ids)));
  }
  bool retrieve(const KeySpec& k, const std::vector<std::int64_t>& ids, std::int64_t skip = 0,
                std::int64_t instance = 1) {
    return transfer_ok(harness.call(peer, Op::kRetrieve, retrieve_payload(k, instance, ids, skip)));
  }
  std::int64_t lookup(KeySpec k) {
    k.worker.reset();
    EXPECT_EQ(harness.call(peer, Op::kLookup, {pack_key(k), Pack().integer(1)}).size(), 2u);
    const Frames reply = harness.call(peer, Op::kQueryPrefetchStatus, {Pack().string(k.request)});
    std::int64_t hit = -1;
    EXPECT_TRUE(payload_of(reply).read_int(hit));
    return hit;
  }
  std::uint64_t used() { return harness.engine().cache().stats().used_bytes; }

  Harness harness;
  net::PeerId peer = 0;
  DenseWorker worker{1, 40};
  std::vector<std::uint32_t> tokens = tokens_from(1, 1024);
};

TEST_F(Transfers, WhatIsStoredComesBack) {
  const std::vector<std::int64_t> from{5, 9, 2, 30, 11, 4}, to{20, 3, 8, 17, 33, 1};
  std::vector<std::vector<wire::Bytes>> pages(2);
  for (std::size_t layer = 0; layer < 2; ++layer) {
    for (const auto id : from) pages[layer].push_back(worker.page(layer, id));
  }
  ASSERT_TRUE(store(key(3), from));
  ASSERT_EQ(lookup(key(3)), 3);
  worker.zero();
  ASSERT_TRUE(retrieve(key(3), to));
  for (std::size_t layer = 0; layer < 2; ++layer) {
    for (std::size_t i = 0; i < to.size(); ++i)
      EXPECT_EQ(worker.page(layer, to[i]), pages[layer][i]) << layer << " " << i;
    EXPECT_EQ(worker.page(layer, 21), wire::Bytes(DenseWorker::kPage))
        << "a block nobody named was written";
  }
}

TEST_F(Transfers, AStoreIsVisibleToTheLookupBehindItsReply) {
  for (int round = 0; round < 50; ++round) {
    tokens = tokens_from(static_cast<std::uint32_t>(round), 64);
    ASSERT_TRUE(store(key(2, "s" + std::to_string(round)), ids_from(1, 4)));
    ASSERT_EQ(lookup(key(2, "l" + std::to_string(round))), 2);
  }
}

TEST_F(Transfers, SkippedTokensAndNullBlocksAreNotWritten) {
  ASSERT_TRUE(store(key(2), ids_from(1, 4)));
  ASSERT_EQ(lookup(key(2)), 2);
  const auto page = worker.page(0, 4);
  worker.zero();
  ASSERT_TRUE(retrieve(key(2), {10, 11, 0, 13}, 20));  // 20 tokens skip one whole block of 16
  const wire::Bytes blank(DenseWorker::kPage);
  EXPECT_EQ(worker.page(0, 10), blank);
  EXPECT_NE(worker.page(0, 11), blank);
  EXPECT_EQ(worker.page(0, 0), blank) << "the null block was written";
  EXPECT_EQ(worker.page(0, 13), page);
}

TEST_F(Transfers, AChunkWithANullIdIsNotStored) {
  ASSERT_TRUE(store(key(3), {1, 2, 3, 0, 5, 6}));
  EXPECT_EQ(lookup(key(3)), 1);
  ASSERT_TRUE(store(key(3, "again"), ids_from(1, 6)));
  EXPECT_EQ(lookup(key(3, "again")), 3);
}

TEST_F(Transfers, MalformedOnesAreAnsweredFalseAndStoreNothing) {
  const auto bad = [&](KeySpec k, const Frames& frames) {
    EXPECT_FALSE(transfer_ok(harness.call(peer, Op::kStore, frames)));
    k.request += "-check";
    EXPECT_EQ(lookup(k), 0);
  };
  auto k = key(2);
  bad(k, store_payload(k, 999, ids_from(1, 4)));  // unknown instance
  bad(k, store_payload(k, 1, ids_from(1, 3)));    // short
  bad(k, store_payload(k, 1, ids_from(1, 5)));    // not whole chunks
  bad(k, store_payload(k, 1, {1, 2, 3, 40}));     // outside the pool
  bad(k, store_payload(k, 1, {1, 2, 3, -1}));     // negative
  bad(k, {pack_key(k), Pack().integer(1),
          Pack().array(2).integers(ids_from(1, 4)).integers(ids_from(1, 4)), Pack().binary("")});
  bad(k, {pack_key(k), Pack().integer(1), Pack().array(1).integers(ids_from(1, 4)),
          Pack().binary(std::string(64, 'x'))});  // a GPU's event
  bad(k, {Pack().nil(), Pack().integer(1), Pack().array(1).integers(ids_from(1, 4)),
          Pack().binary("")});
  auto unaligned = k;
  unaligned.end = 40;
  bad(k, store_payload(unaligned, 1, ids_from(1, 4)));
  auto beyond = k;
  beyond.end = 96;
  bad(k, store_payload(beyond, 1, ids_from(1, 6)));
  auto nobody = k;
  nobody.worker.reset();
  bad(k, store_payload(nobody, 1, ids_from(1, 4)));
  EXPECT_EQ(used(), 0u);
}

// Ids are checked before anything is reserved, also for chunks that are already there.
TEST_F(Transfers, BadIdsOfResidentChunksFailToo) {
  ASSERT_TRUE(store(key(2), ids_from(1, 4)));
  EXPECT_FALSE(store(key(2, "again"), {1, 2, 3, 1000}));
}

TEST_F(Transfers, ExtraWholeChunksAndEmptyRangesAreFine) {
  EXPECT_TRUE(store(key(1), ids_from(1, 6)));
  auto empty = key(2);
  empty.start = empty.end = 64;
  EXPECT_TRUE(store(empty, {}));
  EXPECT_TRUE(retrieve(empty, {}));
  empty.start = kChunk * (std::int64_t{1} << 31);  // nothing is hashed, or reserved, for it
  empty.end = 0;
  EXPECT_TRUE(store(empty, {}));
  EXPECT_TRUE(retrieve(empty, {}));
}

TEST_F(Transfers, StoringInStepsBuildsOneSequence) {
  for (std::int64_t step = 0; step < 4; ++step) {
    auto k = key(step + 1);
    k.start = step * kChunk;
    ASSERT_TRUE(store(k, ids_from(1 + step * kIdsPerChunk, 2)));
    EXPECT_EQ(lookup(key(step + 1, "l")), step + 1);
  }
}

TEST_F(Transfers, ADuplicateStoreKeepsTheFirst) {
  ASSERT_TRUE(store(key(1), {1, 2}));
  const auto first = worker.page(0, 1);
  worker.fill(99);
  ASSERT_TRUE(store(key(1, "dup"), {1, 2}));
  ASSERT_EQ(lookup(key(1)), 1);
  ASSERT_TRUE(retrieve(key(1), {3, 4}));
  EXPECT_EQ(worker.page(0, 3), first);
}

TEST_F(Transfers, MoreThanThePoolHoldsIsFalseAndLaterStoresAreFine) {
  Harness small(Harness::small_config(), 64u << 10);  // 16 objects of 4096 bytes
  const auto p = small.connect();
  ASSERT_EQ(error_text(small.call(p, Op::kRegisterKvCache, worker.registration())), "");
  auto k = key(17);
  EXPECT_FALSE(transfer_ok(small.call(p, Op::kStore, store_payload(k, 1, ids_from(1, 34)))));
  EXPECT_EQ(small.engine().cache().stats().used_bytes, 0u);
  k = key(16, "fits");
  EXPECT_TRUE(transfer_ok(small.call(p, Op::kStore, store_payload(k, 1, ids_from(1, 32)))));
}

TEST_F(Transfers, AShrunkSegmentFailsTheCopyAndNothingElse) {
  worker.layer(1).shrink(0);
  EXPECT_FALSE(store(key(2), ids_from(1, 4)));
  EXPECT_EQ(used(), 0u) << "a failed store left memory reserved";
  DenseWorker healthy(1, 40);
  healthy.fill(3);
  register_worker(healthy);
  EXPECT_TRUE(store(key(2, "again"), ids_from(1, 4))) << "a failed store blocked its keys";
}

TEST_F(Transfers, RegisteringAgainReplacesTheTensors) {
  DenseWorker second(1, 40);
  second.fill(1234);
  register_worker(second);
  ASSERT_TRUE(store(key(1), {1, 2}));
  ASSERT_EQ(lookup(key(1)), 1);
  ASSERT_TRUE(retrieve(key(1), {5, 6}));
  EXPECT_EQ(second.page(0, 5), second.page(0, 1));
  EXPECT_NE(worker.page(0, 5), second.page(0, 1)) << "the first registration's memory was written";
}

TEST_F(Transfers, AFailedRegistrationKeepsTheOldOne) {
  auto bad = worker.registration();
  bad[6] = Pack().array(0).raw({});
  bad[1] = Pack().array(0);
  EXPECT_NE(error_text(harness.call(peer, Op::kRegisterKvCache, bad)), "");
  EXPECT_TRUE(store(key(1), {1, 2}));
}

// Same model name, same object size, other meaning: neither may ever see the other's bytes.
TEST_F(Transfers, GeometriesDoNotMix) {
  DenseWorker half(2, 40, 2, "float16");
  half.fill(55);
  register_worker(half);
  ASSERT_TRUE(store(key(2), ids_from(1, 4), 1));
  lookup(key(2, "half"));
  EXPECT_FALSE(retrieve(key(2, "half"), ids_from(10, 4), 0, 2));
  ASSERT_TRUE(store(key(2, "half2"), ids_from(1, 4), 2));
  ASSERT_EQ(lookup(key(2, "half3")), 2);
  ASSERT_TRUE(retrieve(key(2, "half3"), ids_from(10, 4), 0, 2));
  EXPECT_EQ(half.page(1, 12), half.page(1, 3));
  ASSERT_EQ(lookup(key(2, "bf")), 2);
  ASSERT_TRUE(retrieve(key(2, "bf"), ids_from(10, 4), 0, 1));
  EXPECT_EQ(worker.page(1, 12), worker.page(1, 3));
}

TEST_F(Transfers, SaltsModelsAndRanksAreApart) {
  ASSERT_TRUE(store(key(1), {1, 2}));
  auto salted = key(1, "x");
  salted.salt = "alice";
  EXPECT_EQ(lookup(salted), 0);
  auto model = key(1, "y");
  model.model = "other";
  EXPECT_EQ(lookup(model), 0);
  DenseWorker two(3, 40, 2, "bfloat16", "two", 2);
  two.fill(3);
  register_worker(two);
  auto k = key(1, "w");
  k.model = "two";
  k.world_size = 2;
  ASSERT_TRUE(store(k, {1, 2}, 3));
  EXPECT_EQ(lookup(k), 0) << "rank 1 has stored nothing";
  k.worker = 1;
  ASSERT_TRUE(store(k, {1, 2}, 3));
  EXPECT_EQ(lookup(k), 1);
}

}  // namespace
}  // namespace lmcache::test
