// One reply to every message, whatever is in it.
#include "engine/dispatcher.hpp"

#include "obs/counters.hpp"
#include "support/harness.hpp"
#include "unit/cache/cache_fixture.hpp"

#include <random>

namespace lmcache::test {
namespace {

using wire::Op;

struct DispatcherTest : testing::Test {
  Harness harness;
  net::PeerId peer = harness.connect();
};

TEST_F(DispatcherTest, AnswersSimpleCallsAndEchoesUidAndOperation) {
  const Frames by_name =
      harness.send(peer, {Pack().string("any uid"), Pack().string("noop")}).get();
  EXPECT_EQ(by_name[0], wire::Bytes(Pack().string("any uid")));
  EXPECT_EQ(by_name[1], wire::Bytes(Pack().string("noop")));
  std::string_view ok;
  auto payload = payload_of(by_name);
  EXPECT_TRUE(payload.read_string(ok));
  EXPECT_EQ(ok, "OK");
  const Frames raw_uid = harness.send(peer, {Pack().raw({0xc1, 0xff}), Pack().integer(21)}).get();
  EXPECT_EQ(raw_uid[0], wire::Bytes(Pack().raw({0xc1, 0xff})));
  std::int64_t chunk = 0;
  EXPECT_TRUE(payload_of(raw_uid).read_int(chunk));
  EXPECT_EQ(chunk, 32);
  std::size_t names = 99;
  EXPECT_TRUE(payload_of(harness.call(peer, Op::kGetExperimental, {})).read_array(names));
  EXPECT_EQ(names, 0u);
}

TEST_F(DispatcherTest, PingTellsAnUnknownWorkerOnce) {
  const auto ping = [&](const wire::Bytes& id) {
    bool alive = false;
    EXPECT_TRUE(payload_of(harness.call(peer, Op::kPing, {id})).read_bool(alive));
    return alive;
  };
  EXPECT_TRUE(ping(Pack().nil()));
  EXPECT_FALSE(ping(Pack().integer(5)));
  EXPECT_TRUE(ping(Pack().integer(5)));
}

TEST_F(DispatcherTest, OperationsNotServedSayWhy) {
  for (const auto& operation : wire::all_operations()) {
    if (operation.served) continue;
    const Frames reply =
        harness.send(peer, {Pack().integer(1), Pack().string(operation.name)}).get();
    EXPECT_NE(error_text(reply).find("does not offer"), std::string::npos) << operation.name;
    EXPECT_EQ(error_text(reply).find(operation.name), 0u) << operation.name;
  }
}

TEST_F(DispatcherTest, WrongFrameCountsGetTheOperationsFailureForm) {
  for (const auto& operation : wire::all_operations()) {
    if (!operation.served) continue;
    for (const int difference : {-1, 1}) {
      const int payload = operation.payload_frames + difference;
      if (payload < 0) continue;
      Frames frames{Pack().integer(1), Pack().integer(static_cast<std::int64_t>(operation.op))};
      frames.resize(static_cast<std::size_t>(2 + payload), Pack().nil());
      const Frames reply = harness.send(peer, frames).get();
      SCOPED_TRACE(operation.name);
      switch (operation.failure) {
        case wire::FailureReply::kErrorText:
          EXPECT_NE(error_text(reply), "");
          break;
        case wire::FailureReply::kNone:
          EXPECT_EQ(reply, (Frames{frames[0], frames[1]}));
          break;
        case wire::FailureReply::kZero: {
          std::int64_t zero = -1;
          EXPECT_TRUE(payload_of(reply).read_int(zero));
          EXPECT_EQ(zero, 0);
          break;
        }
        case wire::FailureReply::kFalsePair:
          EXPECT_FALSE(transfer_ok(reply));
          break;
      }
    }
  }
}

TEST_F(DispatcherTest, MessagesWithoutAnOperationAreAnsweredToo) {
  EXPECT_NE(error_text(harness.send(peer, {Pack().integer(1)}).get()), "");
  EXPECT_NE(error_text(harness.send(peer, {Pack().integer(1), Pack().integer(11)}).get()), "");
  EXPECT_NE(error_text(harness.send(peer, {Pack().integer(1), Pack().raw({0xc1})}).get()), "");
}

// A client that cannot decode the text never learns that its request has failed.
TEST_F(DispatcherTest, ErrorTextsArePrintableWhateverThePeerPutIntoThem) {
  std::string name = "a";
  for (int i = 0; i < 40; ++i) name += "\xc3\xa9";  // cut in the middle of a character
  const Frames reply = harness.call(peer, Op::kFreeLookupLocks,
                                    {Pack().map(1).string(name).raw({0xc1}), Pack().integer(1)});
  const std::string text = error_text(reply);
  EXPECT_FALSE(text.empty());
  EXPECT_TRUE(std::ranges::all_of(text, [](char c) { return c >= ' ' && c <= '~'; })) << text;
}

// Controls of streams are not requests: nothing may come back.
TEST_F(DispatcherTest, StrayStreamControlsAreIgnored) {
  const auto cancel = harness.send(
      peer, {Pack().integer(1), wire::Bytes{}, Pack().raw({'c', 'a', 'n', 'c', 'e', 'l'})});
  EXPECT_THROW(static_cast<void>(cancel.get()), std::future_error);
}

TEST_F(DispatcherTest, AnEmptyOperationThatIsNoControlIsAnswered) {
  for (const Frames& payload :
       {Frames{}, Frames{Pack().raw({'a', 'c', 'k', '!'})}, Frames{{}, {}}}) {
    Frames frames{Pack().integer(1), wire::Bytes{}};
    frames.insert(frames.end(), payload.begin(), payload.end());
    EXPECT_FALSE(error_text(harness.send(peer, frames).get()).empty());
  }
}

TEST_F(DispatcherTest, FailuresAreCountedByOperationAndCause) {
  const auto count = [] {
    std::uint64_t n = 0;
    for (const auto& row : obs::failure_counts()) {
      if (row.operation == "retrieve" && row.cause == Cause::kMalformed) n = row.count;
    }
    return n;
  };
  const auto before = count();
  harness.call(peer, Op::kRetrieve,
               {Pack().nil(), Pack().nil(), Pack().nil(), Pack().nil(), Pack().nil()});
  EXPECT_EQ(count(), before + 1);
}

TEST_F(DispatcherTest, RandomAndMutatedMessagesAllGetOneReply) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 rng(seed);
  std::vector<GoldenCase> cases;
  for (const char* file : {"management", "register", "lookup", "store", "retrieve", "session_end",
                           "encoded_requests"}) {
    for (auto& one : load_golden(file)) cases.push_back(std::move(one));
  }
  std::vector<Pending> pending;
  for (int i = 0; i < 2000; ++i) {
    auto frames = cases[rng() % cases.size()].request;
    auto& frame = frames[1 + rng() % (frames.size() - 1)];
    if (rng() % 3 == 0)
      frames.resize(1 + rng() % frames.size());
    else if (!frame.empty())
      frame[rng() % frame.size()] = static_cast<std::byte>(rng());
    pending.push_back(harness.send(peer, frames));
  }
  for (const auto& one : pending) EXPECT_EQ(one.get().size() >= 2, true);
}

TEST(ClearTest, OthersAreServedMeanwhile) {
  Harness harness(Harness::small_config(), 128u << 20);
  ASSERT_TRUE(
      store(harness.engine().cache(), with_layout(layout_of(1, {-1}, 4096)), chain_of(1, 32'000)));
  std::vector<Pending> clears;
  for (int i = 0; i < 4; ++i)  // more than there are request threads
    clears.push_back(harness.send(harness.connect(), Op::kClear, {Pack().boolean(false)}));
  harness.call(harness.connect(), Op::kEndSession, {Pack().string("r")});
  EXPECT_TRUE(std::ranges::none_of(clears, &Pending::arrived));
  for (const Pending& clear : clears) static_cast<void>(clear.get());
  EXPECT_EQ(harness.engine().cache().stats().chunks, 0u);
}

TEST_F(DispatcherTest, RequestsOfAConnectionThatHasGoneAreDropped) {
  DenseWorker worker(1, 8);
  std::vector<Pending> pending;
  for (int i = 0; i < 100; ++i)
    pending.push_back(harness.send(peer, Op::kRegisterKvCache, worker.registration()));
  harness.disconnect(peer);
  const auto next = harness.connect();
  for (int tries = 0; harness.engine().instances().size() > 0 && tries < 10000; ++tries) {
    harness.call(next, Op::kClear, {Pack().boolean(false)});
  }
  EXPECT_EQ(harness.engine().instances().size(), 0u);
}

}  // namespace
}  // namespace lmcache::test
