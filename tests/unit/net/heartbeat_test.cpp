#include "net/heartbeat.hpp"

#include <gtest/gtest.h>

namespace lmcache::net {
namespace {

using namespace std::chrono_literals;
using Action = Heartbeat::Action;

const Heartbeat::Time kStart{1000s};

TEST(Heartbeat, PingsASilentPeerEveryIntervalAndGivesItUpAtTheTimeout) {
  Heartbeat beat{10s, 30s};
  beat.start(kStart, true);
  EXPECT_EQ(beat.next(), kStart + 10s);
  EXPECT_EQ(beat.check(kStart + 9s), Action::kNothing);
  EXPECT_EQ(beat.check(kStart + 10s), Action::kPing);
  EXPECT_EQ(beat.next(), kStart + 20s);
  EXPECT_EQ(beat.check(kStart + 11s), Action::kNothing);
  EXPECT_EQ(beat.check(kStart + 20s), Action::kPing);
  EXPECT_EQ(beat.check(kStart + 29s), Action::kNothing);
  EXPECT_EQ(beat.check(kStart + 30s), Action::kDead);
}

TEST(Heartbeat, AnythingReceivedStartsTheSilenceAnew) {
  Heartbeat beat{10s, 30s};
  beat.start(kStart, true);
  beat.received(kStart + 9s);
  EXPECT_EQ(beat.check(kStart + 10s), Action::kNothing);
  EXPECT_EQ(beat.next(), kStart + 19s);
  EXPECT_EQ(beat.check(kStart + 19s), Action::kPing);
  EXPECT_EQ(beat.check(kStart + 29s), Action::kPing);
  EXPECT_EQ(beat.check(kStart + 38s), Action::kNothing);
  EXPECT_EQ(beat.check(kStart + 39s), Action::kDead);
}

TEST(Heartbeat, WhilePausedItPingsButDoesNotJudge) {
  Heartbeat beat{10s, 30s};
  beat.start(kStart, true);
  beat.pause();
  EXPECT_EQ(beat.check(kStart + 1000s), Action::kPing);
  EXPECT_EQ(beat.next(), kStart + 1010s);
  beat.resume(kStart + 1001s);
  EXPECT_EQ(beat.check(kStart + 1011s), Action::kPing);
  EXPECT_EQ(beat.check(kStart + 1021s), Action::kPing);
  EXPECT_EQ(beat.check(kStart + 1030s), Action::kNothing);
  EXPECT_EQ(beat.check(kStart + 1031s), Action::kDead);
}

TEST(Heartbeat, DoesNotJudgeAPeerWhoseVersionHasNoPingUntilItAnswersOne) {
  Heartbeat beat{10s, 30s};
  beat.start(kStart, false);
  EXPECT_EQ(beat.check(kStart + 100s), Action::kPing);
  beat.received(kStart + 101s);
  beat.peer_pong();
  EXPECT_EQ(beat.check(kStart + 111s), Action::kPing);
  EXPECT_EQ(beat.check(kStart + 121s), Action::kPing);
  EXPECT_EQ(beat.check(kStart + 131s), Action::kDead);
}

// Stopped by a debugger or a freezer, we hear nothing; that is not the peer's silence.
TEST(Heartbeat, AfterAStallOfOursAPeerIsAskedBeforeItIsGivenUp) {
  Heartbeat beat{10s, 30s};
  beat.start(kStart, true);
  EXPECT_EQ(beat.check(kStart + 500s), Action::kPing);
  EXPECT_EQ(beat.next(), kStart + 510s);
  EXPECT_EQ(beat.check(kStart + 509s), Action::kNothing);
  EXPECT_EQ(beat.check(kStart + 510s), Action::kDead);
}

TEST(Heartbeat, AStallBetweenAPingAndItsAnswerIsOursToo) {
  Heartbeat beat{10s, 30s};
  beat.start(kStart, true);
  EXPECT_EQ(beat.check(kStart + 10s), Action::kPing);
  EXPECT_EQ(beat.check(kStart + 500s), Action::kPing);  // its PONG may wait to be read
  beat.received(kStart + 500s);
  EXPECT_EQ(beat.check(kStart + 509s), Action::kNothing);
  EXPECT_EQ(beat.check(kStart + 510s), Action::kPing);
}

TEST(Heartbeat, ATimeoutShorterThanTheIntervalAsksOnceToo) {
  Heartbeat beat{10s, 5s};
  beat.start(kStart, true);
  EXPECT_EQ(beat.next(), kStart + 5s);
  EXPECT_EQ(beat.check(kStart + 5s), Action::kPing);
  EXPECT_EQ(beat.next(), kStart + 10s);
  EXPECT_EQ(beat.check(kStart + 9s), Action::kNothing);
  EXPECT_EQ(beat.check(kStart + 10s), Action::kDead);
}

TEST(Heartbeat, HonoursTheTtlOfAPingUntilSomethingElseArrives) {
  Heartbeat beat{10s, 30s};
  beat.start(kStart, true);
  beat.received(kStart);
  beat.peer_ping(2s);
  EXPECT_EQ(beat.next(), kStart + 2s);
  EXPECT_EQ(beat.check(kStart + 1s), Action::kNothing);
  beat.received(kStart + 1s);
  EXPECT_EQ(beat.check(kStart + 4s), Action::kNothing);
  beat.peer_ping(2s);
  EXPECT_EQ(beat.check(kStart + 4s), Action::kDead);
}

TEST(Heartbeat, ALongTtlDoesNotExtendOurOwnTimeout) {
  Heartbeat beat{10s, 30s};
  beat.start(kStart, true);
  beat.peer_ping(6000s);
  EXPECT_EQ(beat.check(kStart + 10s), Action::kPing);
  EXPECT_EQ(beat.check(kStart + 20s), Action::kPing);
  EXPECT_EQ(beat.check(kStart + 30s), Action::kDead);
}

TEST(Heartbeat, IntervalZeroSwitchesItOffButForTheTtl) {
  Heartbeat beat{0s, 30s};
  beat.start(kStart, true);
  EXPECT_EQ(beat.next(), Heartbeat::Time::max());
  EXPECT_EQ(beat.check(kStart + 1000s), Action::kNothing);
  beat.peer_ping(2000s);
  EXPECT_EQ(beat.next(), kStart + 2000s);
  EXPECT_EQ(beat.check(kStart + 2000s), Action::kDead);
}

}  // namespace
}  // namespace lmcache::net
