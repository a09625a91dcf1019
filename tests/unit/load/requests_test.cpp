// What the load generator encodes, read by the server's decoders.
#include "load/requests.hpp"
#include "wire/requests.hpp"

#include <gtest/gtest.h>

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

TEST(Requests, SeedsHaveTokensOfTheirOwn) {
  std::set<std::vector<std::uint32_t>> sequences;
  for (std::uint64_t seed = 0; seed < 100; ++seed) sequences.insert(tokens_of(seed, 16));
  EXPECT_EQ(sequences.size(), 100u);
  EXPECT_EQ(tokens_of(3, 16), tokens_of(3, 16));
}

}  // namespace
}  // namespace lmcache::load
