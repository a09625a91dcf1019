// Who may read what, how often, and when it ends: on the table itself, with a real cache behind the
// leases.
#include "engine/lookups.hpp"

#include <gtest/gtest.h>

namespace lmcache::engine {
namespace {

constexpr std::size_t kObject = 4096;

struct LookupsTest : testing::Test {
  void SetUp() override {
    for (const net::PeerId peer : {1u, 2u, 3u}) lookups.open(peer);
    auto one = std::make_shared<ObjectLayout>();
    one->groups.push_back({kObject, -1, false});
    layout = one;
    for (std::uint8_t i = 0; i < 4; ++i) chain[i].bytes[0] = std::byte(i + 1);
    for (std::uint8_t i = 0; i < 4; ++i) other[i].bytes[0] = std::byte(i + 101);
    store(chain);
    store(other);
  }
  void store(std::span<const ChunkHash> hashes) {
    for (std::uint32_t rank = 0; rank < keyspace.world_size; ++rank) {
      const std::vector<std::vector<bool>> wanted{std::vector<bool>(hashes.size(), true)};
      auto ticket = cache.reserve(keyspace, rank, layout, hashes, 0, wanted);
      ASSERT_TRUE(ticket) << ticket.error().text;
      cache.commit(std::move(*ticket));
    }
  }
  void look_up(net::PeerId owner, const std::string& id, std::span<const ChunkHash> hashes,
               std::uint32_t readers = 1) {
    Lease lease = cache.lookup(keyspace, hashes, std::vector{layout});
    const auto hit = hashes.first(lease.chunks());
    lookups.put(owner, id, keyspace, hit, std::move(lease), readers, now);
  }
  bool read(net::PeerId peer, wire::InstanceId instance, const std::string& id,
            std::span<const ChunkHash> hashes, std::uint32_t first, std::uint32_t last,
            std::uint32_t rank = 0) {
    return lookups
        .read({peer, instance, rank}, id, keyspace, hashes, first, last, now,
              [&](const Lease& lease) { return cache.open_read(lease, rank, layout, first, last); })
        .has_value();
  }
  std::uint64_t pinned() { return cache.stats().pinned_chunks; }

  std::vector<std::byte> memory = std::vector<std::byte>(1 << 20);
  Cache cache{memory, {}};
  Keyspace keyspace{"m", "", 2};
  LayoutPtr layout;
  std::array<ChunkHash, 4> chain, other;
  Lookups lookups;
  Clock::time_point now = Clock::now();
};

TEST_F(LookupsTest, AResultIsCollectedOnceByItsOwner) {
  look_up(1, "r", chain);
  EXPECT_EQ(lookups.collect(2, "r", now), 0u);
  EXPECT_EQ(lookups.collect(1, "r", now), 4u);
  EXPECT_EQ(lookups.collect(1, "r", now), 0u);
  EXPECT_EQ(lookups.collect(1, "unknown", now), 0u);
}

TEST_F(LookupsTest, EachRankReadsOnceAndThenThePinsGo) {
  look_up(1, "r", chain);
  EXPECT_EQ(pinned(), 4u);
  EXPECT_TRUE(read(2, 20, "r", chain, 0, 4, 0));
  EXPECT_FALSE(read(2, 20, "r", chain, 0, 4, 0)) << "a second read by the same worker";
  EXPECT_FALSE(read(2, 21, "r", chain, 0, 4, 0)) << "one reader was asked for";
  EXPECT_EQ(pinned(), 4u) << "rank 1 has not read yet";
  EXPECT_TRUE(read(3, 30, "r", chain, 0, 2, 1));
  EXPECT_EQ(pinned(), 2u);
  EXPECT_TRUE(read(3, 30, "r", chain, 2, 4, 1));
  EXPECT_EQ(pinned(), 0u);
}

TEST_F(LookupsTest, SeveralReadersOnSeveralConnections) {
  look_up(1, "r", chain, 3);
  EXPECT_TRUE(read(1, 20, "r", chain, 0, 4));
  EXPECT_TRUE(read(2, 21, "r", chain, 0, 4));
  EXPECT_FALSE(read(2, 21, "r", chain, 0, 4));
  EXPECT_TRUE(read(3, 22, "r", chain, 0, 4));
  EXPECT_FALSE(read(3, 23, "r", chain, 0, 4));
}

TEST_F(LookupsTest, OnlyTheOwnSequenceUnderAnId) {
  look_up(1, "r", chain);
  EXPECT_FALSE(read(2, 20, "r", other, 0, 4)) << "same id, other tokens";
  EXPECT_FALSE(read(2, 20, "s", chain, 0, 4)) << "other id";
  look_up(2, "r", other);
  EXPECT_TRUE(read(2, 20, "r", other, 0, 4));
  EXPECT_TRUE(read(2, 20, "r", chain, 0, 4));
}

TEST_F(LookupsTest, EqualRequestsOfTwoEnginesSpendTheirOwnLeases) {
  look_up(1, "r", chain);
  EXPECT_TRUE(read(3, 30, "r", chain, 0, 4)) << "teaches that instance 30 belongs to scheduler 1";
  static_cast<void>(lookups.end(1, "r"));
  look_up(2, "r", chain);
  look_up(1, "r", chain);
  EXPECT_TRUE(read(3, 30, "r", chain, 0, 4));
  static_cast<void>(lookups.end(1, "r"));
  EXPECT_TRUE(read(2, 20, "r", chain, 0, 4)) << "the other engine's lease was spent";
}

TEST_F(LookupsTest, AFailedReadSpendsItsLeaseToo) {
  look_up(1, "r", chain);
  for (std::uint32_t rank = 0; rank < 2; ++rank) {
    const auto failed = lookups.read({1, 20, rank}, "r", keyspace, chain, 0, 4, now,
                                     [](const Lease&) -> Result<ReadPins> {
                                       return Error{Cause::kCopyFailed, "x"};
                                     });
    EXPECT_FALSE(failed);
  }
  EXPECT_EQ(pinned(), 0u);
}

TEST_F(LookupsTest, FreeingTwiceIsHarmlessAndEndsReads) {
  look_up(1, "r", chain);
  look_up(2, "q", chain);
  lookups.free(1, "r", keyspace, chain, 2, 4, std::nullopt, 1, now);
  EXPECT_FALSE(read(1, 20, "r", chain, 0, 4));
  EXPECT_TRUE(read(1, 20, "r", chain, 0, 2));
  for (int i = 0; i < 3; ++i) lookups.free(1, "r", keyspace, chain, 0, 4, std::nullopt, 1, now);
  EXPECT_EQ(lookups.collect(1, "r", now), 0u) << "freeing collects";
  EXPECT_EQ(pinned(), 4u) << "the other request's leases were touched";
  EXPECT_TRUE(read(2, 21, "q", chain, 0, 4));
}

TEST_F(LookupsTest, FreeOfOneRankOrOfFewerReadersLeavesTheRest) {
  look_up(1, "r", chain, 2);
  lookups.free(1, "r", keyspace, chain, 0, 4, 1, 2, now);
  EXPECT_FALSE(read(1, 21, "r", chain, 0, 4, 1));
  lookups.free(1, "r", keyspace, chain, 0, 4, 0, 1, now);
  EXPECT_TRUE(read(1, 20, "r", chain, 0, 4, 0));
  EXPECT_EQ(pinned(), 0u);
}

TEST_F(LookupsTest, FreeByAnotherConnectionOrForOtherTokensDoesNothing) {
  look_up(1, "r", chain);
  lookups.free(2, "r", keyspace, chain, 0, 4, std::nullopt, 1, now);
  lookups.free(1, "r", keyspace, other, 0, 4, std::nullopt, 1, now);
  EXPECT_EQ(pinned(), 4u);
}

TEST_F(LookupsTest, ANewLookupReplacesTheOldOne) {
  look_up(1, "r", chain);
  look_up(1, "r", std::span{chain}.first(2));
  EXPECT_EQ(pinned(), 2u);
  EXPECT_EQ(lookups.collect(1, "r", now), 2u);
  EXPECT_EQ(lookups.collect(1, "r", now), 0u);
}

TEST_F(LookupsTest, EndReleasesOnlyTheOwnersRecords) {
  look_up(1, "r", chain);
  look_up(2, "r", other);
  const auto ended = lookups.end(1, "r");
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_EQ(ended[0].hashes.size(), 4u);
  EXPECT_EQ(pinned(), 4u);
  EXPECT_TRUE(lookups.end(1, "r").empty());
  EXPECT_EQ(lookups.size(), 1u);
}

TEST_F(LookupsTest, ADeadConnectionLeavesNothing) {
  look_up(1, "r", chain);
  look_up(1, "q", other);
  lookups.close(1);
  EXPECT_EQ(pinned(), 0u);
  EXPECT_EQ(lookups.size(), 0u);
  look_up(1, "late", chain);  // a lookup that was still being hashed
  EXPECT_EQ(lookups.size(), 0u);
  EXPECT_EQ(pinned(), 0u);
}

TEST_F(LookupsTest, LeasesLapseByLastUse) {
  using std::chrono::seconds;
  look_up(1, "r", chain);
  now += seconds(250);
  EXPECT_EQ(lookups.collect(1, "r", now), 4u);  // use renews
  EXPECT_EQ(lookups.expire(now - seconds(249), now - seconds(600)), 0u);
  EXPECT_EQ(lookups.leases(), 1u);
  now += seconds(301);
  EXPECT_EQ(lookups.expire(now - seconds(300), now - seconds(600)), 1u);
  EXPECT_EQ(lookups.leases(), 0u);
  EXPECT_EQ(pinned(), 0u);
  EXPECT_FALSE(read(1, 20, "r", chain, 0, 4));
  EXPECT_EQ(lookups.size(), 1u);
  now += seconds(300);
  lookups.expire(now - seconds(300), now - seconds(600));
  EXPECT_EQ(lookups.size(), 0u);
}

TEST_F(LookupsTest, BytesOfOneConnectionAreBounded) {
  const std::size_t kept = Lookups::kRecordBytesPerPeer / wire::kNameBytesMax;
  look_up(2, "of another", chain);
  for (std::size_t i = 0; i < 2 * kept; ++i) {
    std::string id = std::to_string(i);
    id.resize(wire::kNameBytesMax, '-');
    lookups.put(1, id, keyspace, {}, {}, 1, now);
  }
  EXPECT_LE(lookups.size(), kept + 1);
  EXPECT_GT(lookups.size(), kept / 2);
  EXPECT_EQ(lookups.collect(2, "of another", now), 4u);
  lookups.close(1);
  EXPECT_EQ(lookups.size(), 1u);
}

TEST_F(LookupsTest, RowsOfRanksCountAmongTheBytesOfAConnection) {
  Keyspace wide = keyspace;
  wide.world_size = wire::kWorldSizeMax;
  const std::size_t most = Lookups::kRecordBytesPerPeer / wide.world_size / chain.size();
  for (std::size_t i = 0; i < 2 * most; ++i)
    lookups.put(1, std::to_string(i), wide, chain, {}, 1, now);
  EXPECT_LE(lookups.size(), most);
  EXPECT_GT(lookups.size(), most / 2);
}

// What has ended must not count for ever, or a connection would keep one lookup at last.
TEST_F(LookupsTest, EndedLookupsLeaveRoomForOthers) {
  const std::vector<ChunkHash> longest(65536);
  const std::size_t rounds =
      2 * Lookups::kRecordBytesPerPeer / (longest.size() * sizeof longest[0]);
  for (std::size_t i = 0; i < rounds; ++i) {
    lookups.put(1, "r", keyspace, longest, {}, 1, now);
    EXPECT_EQ(lookups.end(1, "r").size(), 1u);
  }
  look_up(1, "a", chain);
  look_up(1, "b", chain);
  EXPECT_EQ(lookups.size(), 2u);
}

TEST_F(LookupsTest, ALeaseThatWasUsedUpIsHeldNoMoreAndDoesNotLapse) {
  look_up(1, "r", chain);
  const auto read_by_all_ranks = [&](std::uint32_t first, std::uint32_t last) {
    for (std::uint32_t rank = 0; rank < keyspace.world_size; ++rank)
      EXPECT_TRUE(read(1, 20 + rank, "r", chain, first, last, rank));
  };
  read_by_all_ranks(0, 3);
  EXPECT_EQ(lookups.leases(), 1u);
  read_by_all_ranks(3, 4);
  EXPECT_EQ(lookups.leases(), 0u);
  EXPECT_EQ(lookups.size(), 1u);
  now += std::chrono::hours(1);
  EXPECT_EQ(lookups.expire(now, now - std::chrono::hours(2)), 0u);
}

TEST_F(LookupsTest, RecordsOfOneConnectionAreBounded) {
  for (std::size_t i = 0; i < Lookups::kRecordsPerPeer + 10; ++i) {
    lookups.put(1, "r" + std::to_string(i), keyspace, {}, Lease{}, 1, now);
  }
  EXPECT_EQ(lookups.size(), Lookups::kRecordsPerPeer);
}

TEST_F(LookupsTest, OneIdHasFewKeyspacesOfAConnection) {
  const auto with_salt = [&](std::size_t salt) { return Keyspace{"m", std::to_string(salt), 2}; };
  look_up(2, "r", chain);
  for (std::size_t salt = 0; salt < 100; ++salt)
    lookups.put(1, "r", with_salt(salt), chain, {}, 1, now);
  EXPECT_EQ(lookups.size(), Lookups::kKeyspacesPerRequest + 1);
  // Of those that are left each can be replaced, and the latest is the first to be collected.
  lookups.put(1, "r", with_salt(95), std::span(chain).first(3), {}, 1, now);
  EXPECT_EQ(lookups.size(), Lookups::kKeyspacesPerRequest + 1);
  EXPECT_EQ(lookups.collect(1, "r", now), 3u);
  EXPECT_EQ(lookups.collect(1, "r", now), 4u);
  EXPECT_EQ(lookups.end(1, "r").size(), Lookups::kKeyspacesPerRequest);
  EXPECT_EQ(lookups.size(), 1u);
  EXPECT_TRUE(read(2, 20, "r", chain, 0, 4)) << "another connection's was forgotten";
}

TEST_F(LookupsTest, RecordsOfOneIdComeAndGoInAnyOrder) {
  std::vector<Keyspace> keyspaces;
  for (const char* salt : {"a", "b", "c"}) keyspaces.push_back({"m", salt, 2});
  const auto put_all = [&] {
    for (const net::PeerId peer : {1u, 2u, 3u})
      for (const Keyspace& one : keyspaces) lookups.put(peer, "r", one, chain, {}, 1, now);
  };
  for (int round = 0; round < 3; ++round) {
    put_all();
    EXPECT_EQ(lookups.size(), 9u);
    lookups.close(2);
    lookups.open(2);
    EXPECT_EQ(lookups.size(), 6u);
    EXPECT_EQ(lookups.end(3, "r").size(), 3u);
    put_all();
    now += std::chrono::hours(1);
    lookups.put(1, "r", keyspaces[1], chain, {}, 1, now);
    lookups.expire(now, now);
    EXPECT_EQ(lookups.size(), 1u);
    EXPECT_EQ(lookups.collect(1, "r", now), 4u);
    EXPECT_EQ(lookups.collect(1, "r", now), 0u);
    EXPECT_EQ(lookups.end(1, "r").size(), 1u);
  }
}

}  // namespace
}  // namespace lmcache::engine
