#include "wire/requests.hpp"

#include "support/golden.hpp"
#include "support/pack.hpp"

#include <gtest/gtest.h>

#include <random>

namespace lmcache::wire {
namespace {

using test::Pack;

struct Field {
  const char* name;
  Bytes value;
};

std::vector<Field> key_fields() {
  return {{"model_name", Pack().string("org/model")},
          {"world_size", Pack().integer(8)},
          {"worker_id", Pack().integer(3)},
          {"token_ids", Pack().array(3).token(1).token(300).token(70000)},
          {"start", Pack().integer(0)},
          {"end", Pack().integer(2)},
          {"request_id", Pack().string("req")},
          {"cache_salt", Pack().string("alice")},
          {"request_configs", Pack().nil()},
          {"num_kv_readers", Pack().integer(4)}};
}

Bytes pack(const std::vector<Field>& fields) {
  Pack out;
  out.map(fields.size());
  for (const auto& field : fields) out.string(field.name).raw(field.value);
  return out;
}

Bytes key_with(const char* name, const Bytes& value) {
  auto fields = key_fields();
  for (auto& field : fields) {
    if (std::string(field.name) == name) field.value = value;
  }
  return pack(fields);
}

TEST(KeyDecoder, ReadsAllFields) {
  const auto key = decode_key(pack(key_fields()));
  ASSERT_TRUE(key) << key.error().text;
  EXPECT_EQ(key->keyspace, (Keyspace{"org/model", "alice", 8}));
  EXPECT_EQ(key->worker_id, 3u);
  EXPECT_EQ(key->end, 2u);
  EXPECT_EQ(key->request_id, "req");
  EXPECT_EQ(key->num_kv_readers, 4u);
  ASSERT_EQ(key->tokens->size(), 3u);
  EXPECT_EQ(__builtin_bswap32((*key->tokens)[2]), 70000u);
}

TEST(KeyDecoder, TakesAnyOrderIgnoresUnknownFieldsAndFillsDefaults) {
  auto fields = key_fields();
  std::reverse(fields.begin(), fields.end());
  fields.push_back({"from_the_future", Pack().map(1).string("x").array(2).nil().real(1)});
  EXPECT_TRUE(decode_key(pack(fields)));
  fields = key_fields();
  fields.resize(7);  // an old client: no salt, configs or readers
  const auto key = decode_key(pack(fields));
  ASSERT_TRUE(key) << key.error().text;
  EXPECT_EQ(key->keyspace.salt, "");
  EXPECT_EQ(key->num_kv_readers, 1u);
  EXPECT_FALSE(decode_key(key_with("worker_id", Pack().nil()))->worker_id.has_value());
}

TEST(KeyDecoder, EachFieldWithoutDefaultIsRequired) {
  for (std::size_t i = 0; i < 7; ++i) {
    auto fields = key_fields();
    fields.erase(fields.begin() + static_cast<std::ptrdiff_t>(i));
    EXPECT_FALSE(decode_key(pack(fields))) << i;
  }
}

TEST(KeyDecoder, ReadersAreClampedAndZeroIsOne) {
  EXPECT_EQ(decode_key(key_with("num_kv_readers", Pack().integer(0)))->num_kv_readers, 1u);
  EXPECT_EQ(decode_key(key_with("num_kv_readers", Pack().integer(1000)))->num_kv_readers, 128u);
  EXPECT_FALSE(decode_key(key_with("num_kv_readers", Pack().integer(-1))));
}

TEST(KeyDecoder, RefusesWhatTheProtocolForbids) {
  EXPECT_FALSE(decode_key(key_with("model_name", Pack().string("a@b"))));
  EXPECT_FALSE(decode_key(key_with("model_name", Pack().string(std::string(5000, 'x')))));
  for (const char* bad : {"a@b", "a/b", "a\\b"})
    EXPECT_FALSE(decode_key(key_with("cache_salt", Pack().string(bad)))) << bad;
  EXPECT_FALSE(decode_key(key_with("cache_salt", Pack().string(std::string_view("a\0b", 3)))));
  EXPECT_FALSE(decode_key(key_with("cache_salt", Pack().string(std::string(129, 'x')))));
  std::string wide;  // 128 characters of two bytes each are allowed
  for (int i = 0; i < 128; ++i) wide += "\xc3\xa9";
  EXPECT_TRUE(decode_key(key_with("cache_salt", Pack().string(wide))));
  for (const std::int64_t bad : {0, -1, 5000})
    EXPECT_FALSE(decode_key(key_with("world_size", Pack().integer(bad)))) << bad;
  for (const std::int64_t bad : {-1, 8, 99})
    EXPECT_FALSE(decode_key(key_with("worker_id", Pack().integer(bad)))) << bad;
  EXPECT_FALSE(decode_key(key_with("start", Pack().integer(-1))));
  EXPECT_FALSE(decode_key(key_with("token_ids", Pack().array(1).integer(-1))));
  EXPECT_FALSE(decode_key(key_with("token_ids", Pack().array(1).integer(std::int64_t{1} << 32))));
  EXPECT_FALSE(decode_key(key_with("token_ids", Pack().string("x"))));
  EXPECT_FALSE(decode_key(key_with("request_id", Pack().integer(1))));
}

Message message(std::vector<Bytes> payload) {
  payload.insert(payload.begin(), {Bytes(Pack().integer(1)), Bytes(Pack().integer(6))});
  return test::to_message(payload);
}

std::vector<Bytes> store_frames() {
  return {pack(key_fields()), Pack().integer(77),
          Pack().array(2).integers(std::vector{1, 2}).integers(std::vector{3}),
          Pack().binary("stub")};
}

TEST(StoreDecoder, ReadsListsAndEvent) {
  const auto m = message(store_frames());
  const auto store = decode_store(m);
  ASSERT_TRUE(store) << store.error().text;
  EXPECT_EQ(store->instance, 77);
  EXPECT_EQ(store->block_ids, (std::vector<std::vector<std::int64_t>>{{1, 2}, {3}}));
  EXPECT_EQ(store->event.size(), 4u);
}

TEST(StoreDecoder, RefusesFlatListsWrongTypesAndFloods) {
  auto frames = store_frames();
  frames[2] = Pack().integers(std::vector{1, 2});
  EXPECT_FALSE(decode_store(message(frames)));
  frames[2] = Pack().array(100000);
  frames[2].resize(frames[2].size() + 100000,
                   std::byte{0x90});  // lists that would cost 24 bytes for each one here
  EXPECT_FALSE(decode_store(message(frames)));
  frames = store_frames();
  frames[1] = Pack().string("77");
  EXPECT_FALSE(decode_store(message(frames)));
  frames = store_frames();
  frames[3] = Pack().string("stub");
  EXPECT_FALSE(decode_store(message(frames)));
  frames = store_frames();
  frames[3] = Pack().binary("stub").integer(1);
  EXPECT_FALSE(decode_store(message(frames)));
}

TEST(TransferPreview, ReadsTheSmallFramesAndNotTheKey) {
  auto frames = store_frames();
  frames[0] = Pack().string("not a key");
  const auto m = message(frames);
  const auto preview = preview_transfer(m);
  ASSERT_TRUE(preview) << preview.error().text;
  EXPECT_EQ(preview->instance, 77);
  EXPECT_EQ(preview->first_ids, 2u);
  EXPECT_EQ(preview->event.size(), 4u);
  frames[2] = Pack().array(0);
  const auto none = preview_transfer(message(frames));
  ASSERT_TRUE(none);
  EXPECT_EQ(none->first_ids, 0u);
}

TEST(TransferPreview, RefusesSmallFramesThatAreMalformed) {
  for (const std::size_t broken : {1u, 2u, 3u}) {
    auto frames = store_frames();
    frames[broken] = Pack().string("x");
    EXPECT_FALSE(preview_transfer(message(frames))) << broken;
    frames[broken].clear();
    EXPECT_FALSE(preview_transfer(message(frames))) << broken;
  }
  auto frames = store_frames();
  frames[2] = Pack().array(1).array(1000);
  EXPECT_FALSE(preview_transfer(message(frames))) << "more ids than the frame has bytes";
}

/// An array of so many ones, a byte each.
Bytes ones(std::size_t count) {
  Bytes out = Pack().array(count);
  out.resize(out.size() + count, std::byte{1});
  return out;
}

TEST(StoreDecoder, RefusesMoreIdsThanAllowedBeforeItTakesMemoryForThem) {
  auto frames = store_frames();
  frames[2] = Pack().array(1).raw(ones(kBlockIdsMax + 1));
  const auto store = decode_store(message(frames));
  ASSERT_FALSE(store);
  EXPECT_NE(store.error().text.find("more elements than there may be"), std::string::npos);
  frames[2] = Pack().array(1).raw(ones(kBlockIdsMax));
  EXPECT_TRUE(decode_store(message(frames)));
}

TEST(StoreDecoder, RefusesLongEvents) {
  auto frames = store_frames();
  frames[3] = Pack().binary(std::string(4096, 'e'));
  EXPECT_TRUE(decode_store(message(frames)));
  frames[3] = Pack().binary(std::string(4097, 'e'));
  EXPECT_FALSE(decode_store(message(frames)));
}

TEST(KeyDecoder, PassesOverOnlySoMuchOfWhatItDoesNotKnow) {
  EXPECT_TRUE(decode_key(key_with("request_configs", ones(1000))));
  EXPECT_FALSE(decode_key(key_with("request_configs", ones(MsgpackReader::kMaxSkipped))));
}

TEST(RegisterDecoder, RefusesMoreTensorsThanAllowedWithoutReadingThem) {
  for (const auto& one : test::load_golden("register")) {
    auto frames = one.request;
    if (frames.size() != 9) continue;
    frames[3] = Pack().array(kMaxTensors + 1).raw(Bytes(kMaxTensors + 1, std::byte{0xc0}));
    const auto refused = decode_register(test::to_message(frames));
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().text.find("more tensors"), std::string::npos);
    return;
  }
  FAIL() << "no recorded registration";
}

TEST(WaitDecoder, TimeoutIsBoundedAndMayBeAnInteger) {
  const auto timeout = [](const Bytes& value) {
    return decode_wait(message({Pack().string("r"), value}));
  };
  EXPECT_EQ(timeout(Pack().real(1.5))->timeout.count(), 1500);
  EXPECT_EQ(timeout(Pack().integer(2))->timeout.count(), 2000);
  EXPECT_EQ(timeout(Pack().real(-5))->timeout.count(), 0);
  EXPECT_EQ(timeout(Pack().real(1e300))->timeout.count(), 86400000);
  EXPECT_FALSE(timeout(Pack().real(std::numeric_limits<double>::quiet_NaN())));
  EXPECT_FALSE(timeout(Pack().string("1")));
}

TEST(Decoders, TakeEveryRecordedRequest) {
  for (const char* file : {"management", "register", "lookup", "store", "retrieve", "session_end",
                           "encoded_requests"}) {
    for (const auto& one : test::load_golden(file)) {
      const auto m = test::to_message(one.request);
      if (one.operation == "store") {
        EXPECT_TRUE(decode_store(m)) << one.name << ": " << decode_store(m).error().text;
      } else if (one.operation == "retrieve") {
        EXPECT_TRUE(decode_retrieve(m)) << one.name;
      } else if (one.operation == "lookup" || one.operation == "free_lookup_locks") {
        EXPECT_TRUE(decode_key(m.frame(2))) << one.name;
      } else if (one.operation == "register_kv_cache") {
        EXPECT_TRUE(decode_register(m)) << one.name << ": " << decode_register(m).error().text;
      } else if (one.operation == "wait_prefetch_status") {
        EXPECT_TRUE(decode_wait(m)) << one.name;
      } else if (one.operation == "clear") {
        EXPECT_TRUE(decode_bool(m.frame(2))) << one.name;
      } else if (one.operation == "report_block_allocation") {
        EXPECT_TRUE(check_block_allocation(m)) << one.name;
      }
    }
  }
}

// Flipping bytes of real requests reaches decoder paths that random bytes never do.
TEST(Decoders, SurviveMutationsOfRecordedRequests) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 rng(seed);
  std::vector<test::GoldenCase> cases;
  for (const char* file : {"register", "store", "retrieve"}) {
    for (auto& one : test::load_golden(file)) cases.push_back(std::move(one));
  }
  for (int round = 0; round < 5000; ++round) {
    auto frames = cases[rng() % cases.size()].request;
    for (int flips = 1 + static_cast<int>(rng() % 4); flips > 0; --flips) {
      auto& frame = frames[2 + rng() % (frames.size() - 2)];
      if (!frame.empty()) frame[rng() % frame.size()] = static_cast<std::byte>(rng());
    }
    const auto m = test::to_message(frames);
    if (m.frame_count() == 9) static_cast<void>(decode_register(m));
    if (m.frame_count() == 6) static_cast<void>(decode_store(m));
    if (m.frame_count() == 7) static_cast<void>(decode_retrieve(m));
  }
}

}  // namespace
}  // namespace lmcache::wire
