#include "net/session.hpp"

#include "support/memory_stream.hpp"
#include "support/zmtp_peer.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <new>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace lmcache::net {
namespace {

using namespace std::string_literals;
using test::command;
using test::frame;
using test::MemoryPeer;

const std::string kOurHandshake =
    test::greeting() +
    command("READY", test::property("Socket-Type", "ROUTER") + test::property("Identity", ""));

/// Echoes, or keeps the slots when told to hold. Writes down what it is told.
struct Recorder : Handler {
  struct Peer final : Connection {
    Peer(Recorder& all, PeerId given) : recorder(all), id(given) {}
    ~Peer() override { recorder.log.push_back("closed " + std::to_string(id)); }
    void message(wire::Message& message, ReplySlot slot) override {
      recorder.message(id, message, std::move(slot));
    }
    void proven_by_heartbeats() override { recorder.log.push_back("proven " + std::to_string(id)); }
    Recorder& recorder;
    PeerId id;
  };

  std::unique_ptr<Connection> opened(PeerId peer, const std::string& name) override {
    if (no_memory_to_open) throw std::bad_alloc();
    log.push_back("opened " + std::to_string(peer) + " " + name);
    return std::make_unique<Peer>(*this, peer);
  }
  void message(PeerId peer, const wire::Message& message, ReplySlot slot) {
    std::string text = std::to_string(peer) + ":";
    std::vector<wire::Bytes> frames;
    for (std::size_t i = 0; i < message.frame_count(); ++i) {
      frames.emplace_back(message.frame(i).begin(), message.frame(i).end());
      text.append(" ").append(test::text(message.frame(i)).substr(0, 20));
    }
    log.push_back(text);
    if (text.ends_with(" no memory")) throw std::bad_alloc();
    if (hold) {
      slots.push_back(std::move(slot));
    } else {
      slot.send(test::views(frames));
    }
  }
  void dropped(const std::string&, const std::string& reason) override {
    reasons.push_back(reason);
  }

  [[nodiscard]] int count(std::string_view prefix) const {
    return static_cast<int>(std::ranges::count_if(
        log, [&](const std::string& line) { return line.starts_with(prefix); }));
  }

  bool hold = false, no_memory_to_open = false;
  std::vector<std::string> log, reasons;
  std::deque<ReplySlot> slots;
};

wire::Bytes reply_body(std::size_t size) {
  return wire::Bytes(size, std::byte{'r'});
}

class SessionTest : public testing::Test {
 protected:
  /// Connections made later use these.
  NetOptions options = [] {
    NetOptions out;
    out.tcp = false;
    return out;
  }();

  ~SessionTest() override {
    io->stop_all();
    recorder.slots.clear();
    io->context().run();
    EXPECT_EQ(recorder.count("opened"), recorder.count("closed"));
    if (shared) {
      EXPECT_EQ(stats().connections_open, 0u);
      EXPECT_EQ(stats().connections_paused, 0u);
      EXPECT_EQ(stats().unsent_bytes, 0u);
      EXPECT_EQ(shared->identities.size(), 0u);
    }
    for (const auto& session : sessions) EXPECT_TRUE(session.expired()) << "leaked";
  }

  std::shared_ptr<MemoryPeer> connect(int fail_from = -1) {
    if (!shared) shared = std::make_shared<Shared>(options, recorder);
    auto peer = std::make_shared<MemoryPeer>(io->context());
    peer->fail_from(fail_from);
    const PeerId id = sessions.size() + 1;
    EXPECT_TRUE(shared->open_connection());
    io->add_load();
    auto session = std::make_shared<Session>(io, shared, std::make_unique<test::MemoryStream>(peer),
                                             id, "memory");
    sessions.push_back(session);
    io->adopt(id, session);
    session.reset();
    run();
    return peer;
  }
  std::shared_ptr<MemoryPeer> connect_ready(std::string_view identity = {}) {
    auto peer = connect();
    peer->send(test::handshake(identity));
    run();
    EXPECT_EQ(peer->take_received(), kOurHandshake);
    return peer;
  }
  void run() { io->context().poll(); }
  [[nodiscard]] NetStats stats() const { return shared->counters.read(); }
  void answer_first(std::vector<wire::Bytes> frames) {
    ReplySlot slot = std::move(recorder.slots.front());
    recorder.slots.pop_front();
    slot.send(test::views(frames));
    run();
  }

  Recorder recorder;
  std::shared_ptr<IoThread> io = std::make_shared<IoThread>();
  std::shared_ptr<Shared> shared;
  std::vector<std::weak_ptr<Session>> sessions;
};

TEST_F(SessionTest, GreetsAtOnceAndOpensAfterReady) {
  auto peer = connect();
  EXPECT_EQ(peer->take_received(), test::greeting());
  peer->send(test::greeting().substr(0, 63));
  run();
  EXPECT_EQ(peer->received(), "");
  peer->send(test::greeting().substr(63));
  run();
  EXPECT_EQ(test::greeting() + peer->take_received(), kOurHandshake);
  EXPECT_TRUE(recorder.log.empty());
  peer->send(test::ready());
  run();
  EXPECT_EQ(recorder.log, (std::vector<std::string>{"opened 1 memory", "proven 1"}));
  peer->hang_up();
  run();
  EXPECT_EQ(recorder.log.back(), "closed 1");
  EXPECT_TRUE(peer->closed());
}

TEST_F(SessionTest, AnswersAllRequestsOfOneReadWithOneWrite) {
  auto peer = connect_ready();
  std::string requests;
  for (int i = 0; i < 64; ++i) requests += frame(std::to_string(i), 1) + frame("op");
  const int writes = peer->writes();
  peer->send(requests);
  run();
  EXPECT_EQ(peer->received(), requests);
  EXPECT_EQ(peer->writes(), writes + 1);
  EXPECT_EQ(stats().messages_in, 64u);
}

TEST_F(SessionTest, SendsRepliesOfOtherThreadsTogether) {
  recorder.hold = true;
  auto peer = connect_ready();
  std::string requests;
  for (int i = 0; i < 64; ++i) requests += frame("u");
  peer->send(requests);
  run();
  ASSERT_EQ(recorder.slots.size(), 64u);
  EXPECT_EQ(peer->received(), "");
  const int writes = peer->writes();
  std::thread{[this] {
    for (ReplySlot& slot : recorder.slots) slot.send(test::views({test::bytes("u")}));
  }}.join();
  run();
  EXPECT_EQ(peer->received(), requests);
  EXPECT_EQ(peer->writes(), writes + 1);
}

TEST_F(SessionTest, MeasuresTheWayOfRepliesOfOtherThreads) {
  recorder.hold = true;
  auto peer = connect_ready();
  peer->send(frame("a") + frame("b") + frame("c"));
  run();
  ASSERT_EQ(recorder.slots.size(), 3u);
  obs::SecondsHistogram took;
  std::thread{[&] {
    recorder.slots[0].send(test::views({test::bytes("a")}), &took);
    recorder.slots[1].send(test::views({test::bytes("b")}));
    recorder.slots[2].send(test::views({test::bytes("c")}), &took);
  }}.join();
  run();
  std::uint64_t count = 0;
  for (std::size_t i = 0; i < obs::SecondsHistogram::kBuckets; ++i) count += took.bucket(i);
  EXPECT_EQ(count, 2u);
  EXPECT_GT(took.sum(), 0);
}

TEST(ReplySlot, AReplyThatThereIsNoMemoryForLeavesRoomForAnother) {
  struct Poor : ReplySlot::Target {
    [[nodiscard]] std::string_view peer_name() const noexcept override { return "poor"; }
    void deliver(wire::FrameViews frames, obs::SecondsHistogram*) override {
      if (frames.size() > 1) throw std::bad_alloc();
      ++delivered;
    }
    void abandon(std::size_t) noexcept override { ++abandoned; }
    void finished(std::size_t) noexcept override { ++finishes; }
    int delivered = 0, abandoned = 0, finishes = 0;
  };
  const auto target = std::make_shared<Poor>();
  {
    ReplySlot slot(target, 1);
    EXPECT_THROW(slot.send(test::views({test::bytes("u"), test::bytes("large")})), std::bad_alloc);
    EXPECT_EQ(target->finishes, 0);
    slot.send(test::views({test::bytes("u")}));
    slot.send(test::views({test::bytes("twice")}));
  }
  EXPECT_EQ(std::tuple(target->delivered, target->abandoned, target->finishes),
            std::tuple(1, 0, 1));
}

TEST_F(SessionTest, AnswersPingsAlsoInsideAMessage) {
  auto peer = connect_ready();
  peer->send(frame("u", 1) + command("PING", "\0\0ctx"s));
  run();
  EXPECT_EQ(peer->take_received(), command("PONG", "ctx"));
  peer->send(command("SOMETHING", "new") + frame("op"));
  run();
  EXPECT_EQ(peer->received(), frame("u", 1) + frame("op"));
}

TEST_F(SessionTest, AnOlderPeerProvesItsLifeOnceItHasAnsweredAPing) {
  auto peer = connect();
  peer->send(test::greeting(3, 0) + test::ready());
  run();
  EXPECT_EQ(recorder.log, std::vector<std::string>{"opened 1 memory"}) << "it may not know PING";
  peer->send(command("PONG", "") + command("PONG", ""));
  run();
  EXPECT_EQ(recorder.log, (std::vector<std::string>{"opened 1 memory", "proven 1"}));
}

TEST_F(SessionTest, WithoutHeartbeatsNoConnectionProvesAnything) {
  options.heartbeat_interval = std::chrono::milliseconds{0};
  auto peer = connect_ready();
  peer->send(command("PONG", ""));
  run();
  EXPECT_EQ(recorder.log, std::vector<std::string>{"opened 1 memory"});
}

TEST_F(SessionTest, TellsAPeerOfTheWrongTypeAndWaitsForItToHangUp) {
  auto peer = connect();
  peer->send(test::greeting() + test::ready("", "SUB"));
  run();
  const std::string reason{wire::explain(wire::ZmtpError::kBadSocketType)};
  EXPECT_EQ(peer->received(),
            kOurHandshake + command("ERROR", static_cast<char>(reason.size()) + reason));
  EXPECT_TRUE(peer->shut_down());
  EXPECT_FALSE(peer->closed());
  peer->send("what it had sent before it knew");
  run();
  EXPECT_FALSE(peer->closed());
  peer->hang_up();
  run();
  EXPECT_TRUE(peer->closed());
  EXPECT_TRUE(recorder.log.empty());
  EXPECT_EQ(recorder.reasons, std::vector<std::string>{reason});
  EXPECT_EQ(stats().protocol_errors[static_cast<std::size_t>(wire::ZmtpError::kBadSocketType)], 1u);
}

TEST_F(SessionTest, ALingeringPeerCannotSendForEver) {
  auto peer = connect();
  peer->send(test::greeting() + test::ready("", "SUB"));
  run();
  for (int i = 0; i < 17; ++i) {
    peer->send(std::string(1u << 20, 'x'));
    run();
  }
  EXPECT_TRUE(peer->closed());
}

TEST_F(SessionTest, ClosesAtOnceOnGarbageAndOnTooLongMessages) {
  options.max_message_bytes = 1000;
  auto garbage = connect();
  garbage->send("GET / HTTP/1.1\r\n\r\n");
  auto liar = connect_ready();
  liar->send("\x02"s + test::length64(1001));
  run();
  EXPECT_TRUE(garbage->closed());
  EXPECT_EQ(garbage->received(), test::greeting());
  EXPECT_TRUE(liar->closed());
  EXPECT_EQ(recorder.log.back(), "closed 2");
}

TEST_F(SessionTest, ALackOfMemoryCostsItsOwnConnectionOnly) {
  recorder.hold = true;
  auto other = connect_ready(), peer = connect_ready("name");
  other->send(frame("1"));
  peer->send(frame("2") + frame("no memory") + frame("3"));
  run();
  EXPECT_TRUE(peer->closed());
  EXPECT_EQ(recorder.log.back(), "closed 2");
  EXPECT_EQ(recorder.count("2: 3"), 0);
  EXPECT_EQ(recorder.reasons, std::vector<std::string>{"failed: std::bad_alloc"s});
  answer_first({test::bytes("1")});
  EXPECT_EQ(other->received(), frame("1"));
  answer_first({test::bytes("2")});  // to nobody
}

TEST_F(SessionTest, ALackOfMemoryWhileItOpensGivesItsIdentityBack) {
  recorder.no_memory_to_open = true;
  auto peer = connect();
  peer->send(test::handshake("name") + frame("1"));
  run();
  EXPECT_TRUE(peer->closed());
  recorder.no_memory_to_open = false;
  auto next = connect_ready("name");
  next->send(frame("2"));
  run();
  EXPECT_EQ(next->received(), frame("2"));
}

TEST_F(SessionTest, ReadsNoFurtherThanTheRequestsInFlightAllow) {
  options.max_inflight = 2;
  recorder.hold = true;
  auto peer = connect_ready();
  peer->send(frame("1") + frame("2") + frame("3") + frame("4"));
  run();
  EXPECT_EQ(recorder.slots.size(), 2u);
  EXPECT_FALSE(peer->reading());
  EXPECT_EQ(stats().connections_paused, 1u);
  answer_first({test::bytes("1")});
  EXPECT_EQ(recorder.log.back(), "1: 3");
  recorder.slots.pop_front();  // given up without a reply: counts no more either
  run();
  EXPECT_EQ(recorder.log.back(), "1: 4");
  EXPECT_EQ(peer->received(), frame("1"));
  answer_first({test::bytes("3")});
  EXPECT_TRUE(peer->reading());
  EXPECT_EQ(stats().connections_paused, 0u);
}

TEST_F(SessionTest, ReadsNoFurtherThanTheBytesInFlightAllow) {
  options.max_message_bytes = 1000;
  recorder.hold = true;
  auto peer = connect_ready();
  const std::string request = frame(std::string(400, 'q'));
  peer->send(request + request + request + request);
  run();
  EXPECT_EQ(recorder.slots.size(), 3u);
  answer_first({test::bytes("r")});
  EXPECT_EQ(recorder.count("1:"), 4);
}

TEST_F(SessionTest, StopsReadingFromAPeerThatDoesNotTakeItsReplies) {
  options.max_unsent_bytes = 10000;
  recorder.hold = true;
  auto peer = connect_ready();
  peer->set_room(0);
  for (int i = 0; i < 3; ++i) {
    peer->send(frame(std::to_string(i)));
    run();
  }
  answer_first({reply_body(6000)});
  EXPECT_TRUE(peer->reading());
  answer_first({reply_body(6000)});
  answer_first({reply_body(6000)});
  peer->send(frame("a"));  // the read that was under way
  run();
  EXPECT_FALSE(peer->reading());
  EXPECT_EQ(stats().connections_paused, 1u);
  EXPECT_EQ(stats().unsent_bytes, 3 * 6009u);
  peer->set_room(9000);  // 9027 left: below the limit, above its half
  run();
  EXPECT_FALSE(peer->reading());
  EXPECT_EQ(recorder.count("1:"), 3);
  peer->set_room(4100);
  run();
  EXPECT_TRUE(peer->reading());
  EXPECT_EQ(recorder.log.back(), "1: a");
  EXPECT_EQ(stats().connections_paused, 0u);
}

TEST_F(SessionTest, GoesOnReadingWhenAFullQueueEmptiesAtOnce) {
  options.max_unsent_bytes = 10000;
  recorder.hold = true;
  auto peer = connect_ready();
  peer->send(frame("1"));
  run();
  peer->set_room(0);
  answer_first({reply_body(20000)});
  peer->send(frame("2"));
  run();
  EXPECT_FALSE(peer->reading());
  peer->set_room(SIZE_MAX);
  run();
  EXPECT_TRUE(peer->reading());
  EXPECT_EQ(recorder.log.back(), "1: 2");
}

TEST_F(SessionTest, ASecondConnectionWithAnIdentityWaitsForTheFirstToGo) {
  auto first = connect_ready("same");
  auto second = connect_ready("same");
  auto other = connect_ready("other");
  second->send(command("PING", "\0\0x"s));
  run();
  EXPECT_EQ(second->take_received(), command("PONG", "x"));
  second->send(frame("parked") + frame("behind"));
  first->send(frame("served"));
  other->send(frame("served"));
  run();
  EXPECT_EQ(first->received(), frame("served"));
  EXPECT_EQ(other->received(), frame("served"));
  EXPECT_EQ(second->received(), "");
  EXPECT_FALSE(second->reading());
  first->hang_up();
  run();
  EXPECT_EQ(second->received(), frame("parked") + frame("behind"));
  EXPECT_TRUE(second->reading());
}

TEST_F(SessionTest, AWaitingConnectionMayLeave) {
  auto first = connect_ready("same");
  auto second = connect_ready("same");
  second->hang_up();
  run();
  EXPECT_TRUE(second->closed());
  first->hang_up();
  run();
  auto third = connect_ready("same");
  third->send(frame("m"));
  run();
  EXPECT_EQ(third->received(), frame("m"));
}

TEST_F(SessionTest, DrainAnswersWhatIsInFlightAndReadsNothingElse) {
  recorder.hold = true;
  auto peer = connect_ready();
  auto idle = connect_ready();
  auto young = connect();
  peer->send(frame("1") + frame("2"));
  run();
  io->drain_all();
  run();
  EXPECT_TRUE(young->closed());
  EXPECT_TRUE(idle->shut_down());
  EXPECT_FALSE(peer->shut_down());
  peer->send(frame("late"));
  run();
  answer_first({test::bytes("1")});
  EXPECT_FALSE(peer->shut_down());
  peer->set_room(0);
  answer_first({test::bytes("2")});
  EXPECT_FALSE(peer->shut_down());
  peer->set_room(SIZE_MAX);
  run();
  EXPECT_TRUE(peer->shut_down());
  EXPECT_EQ(peer->received(), frame("1") + frame("2"));
  EXPECT_EQ(recorder.count("1: late"), 0);
  peer->hang_up();
  idle->hang_up();
  run();
  EXPECT_EQ(stats().connections_open, 0u);
  EXPECT_TRUE(shared->wait_until_none(std::chrono::steady_clock::time_point::min()));
}

TEST_F(SessionTest, AReplyAfterTheConnectionHasGoneIsDropped) {
  recorder.hold = true;
  auto peer = connect_ready();
  peer->send(frame("1"));
  run();
  peer->hang_up();
  run();
  EXPECT_EQ(recorder.log.back(), "closed 1");
  (void)peer->take_received();
  answer_first({test::bytes("1")});
  EXPECT_EQ(peer->received(), "");
}

TEST_F(SessionTest, StopClosesEveryPeerOnceAlsoWithRepliesOutstanding) {
  recorder.hold = true;
  auto peer = connect_ready();
  connect_ready();
  peer->send(frame("1"));
  run();
  io->stop_all();
  io->stop_all();
  run();
  EXPECT_TRUE(peer->closed());
  EXPECT_EQ(recorder.count("closed"), 2);
  auto late = connect();
  EXPECT_TRUE(late->closed());
  EXPECT_EQ(late->received(), "");
}

// Whichever operation of the stream fails: the session ends, once, and leaves nothing behind (the
// fixture's destructor looks).
TEST_F(SessionTest, SurvivesTheFailureOfEveryOperation) {
  options.max_unsent_bytes = 5000;
  int failed = 0;
  for (int n = 0;; ++n) {
    SCOPED_TRACE(n);
    auto peer = connect(n);
    peer->send(test::handshake("me") + frame("one"));
    run();
    peer->set_room(10);
    peer->send(frame(std::string(8000, 'b')) + frame("two"));
    run();
    peer->set_room(SIZE_MAX);
    peer->send(frame("three", 1) + frame(std::string(50000, 'c')));
    run();
    if (!peer->closed()) {
      EXPECT_EQ(recorder.log.back(), std::to_string(n + 1) + ": three " + std::string(20, 'c'));
      EXPECT_GE(failed, 12);
      break;
    }
    EXPECT_EQ(stats().connections_open, 0u);
    ++failed;
  }
}

}  // namespace
}  // namespace lmcache::net
