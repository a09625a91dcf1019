// What the load generator encodes, read by the server's decoders.
#include "load/requests.hpp"
#include "wire/msgpack_reader.hpp"
#include "wire/requests.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace lmcache::load {
namespace {

TEST(Requests, AKeyIsReadAsItWasMeant) {
  const SequenceKey key{"a model", "request 1", {0, 127, 128, 65536, 4294967295u}};
  const auto worker = wire::decode_key(encode_key(key, 0));
  ASSERT_TRUE(worker) << worker.error().text;
  EXPECT_EQ(worker->keyspace.model, "a model");
  EXPECT_EQ(worker->request_id, "request 1");
  EXPECT_EQ(worker->keyspace.world_size, 1u);
  EXPECT_EQ(worker->worker_id, 0u);
  EXPECT_EQ(worker->start, 0u);
  EXPECT_EQ(worker->end, 5u);
  EXPECT_EQ(worker->num_kv_readers, 1u);
  EXPECT_EQ(worker->tokens->size(), 5u);
  EXPECT_EQ(wire::decode_key(encode_key(key, std::nullopt))->worker_id, std::nullopt);
}

TEST(Requests, TransfersCarryTheirEvent) {
  const wire::Bytes event(64, std::byte{0x5a});
  for (const Frames& frames : {store_frames({}, 1, {}, event), retrieve_frames({}, 1, {}, event)}) {
    wire::MsgpackReader in(frames.at(3));
    wire::ByteView read;
    ASSERT_TRUE(in.read_binary(read));
    EXPECT_TRUE(std::ranges::equal(read, event));
  }
}

TEST(Requests, SeedsHaveTokensOfTheirOwn) {
  std::set<std::vector<std::uint32_t>> sequences;
  for (std::uint64_t seed = 0; seed < 100; ++seed) sequences.insert(tokens_of(seed, 16));
  EXPECT_EQ(sequences.size(), 100u);
  EXPECT_EQ(tokens_of(3, 16), tokens_of(3, 16));
}

}  // namespace
}  // namespace lmcache::load
