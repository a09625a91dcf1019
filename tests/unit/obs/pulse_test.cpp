#include "obs/pulse.hpp"

#include <gmock/gmock.h>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>

#include <future>
#include <thread>

namespace lmcache::obs {
namespace {

using testing::Contains;
using testing::Field;
using testing::Not;

TEST(Pulse, IsListedWhileItLives) {
  {
    const Pulse pulse("a loop");
    EXPECT_THAT(vitals(), Contains(Field(&Vital::name, "a loop")));
  }
  EXPECT_THAT(vitals(), Not(Contains(Field(&Vital::name, "a loop"))));
}

TEST(Pulse, ABeatEndsTheSilence) {
  Pulse pulse("a loop");
  while (pulse.silence() < std::chrono::milliseconds(2)) std::this_thread::yield();
  const auto before = pulse.silence();
  pulse.beat();
  EXPECT_LT(pulse.silence(), before);
}

/// Runs a loop with work to wait for until the test ends.
class Loop {
 public:
  Loop() : guard_(make_work_guard(context)), thread_([this] { run_beating(context, pulse); }) {}
  ~Loop() {
    guard_.reset();
    thread_.join();
  }
  Pulse pulse{"the loop"};
  boost::asio::io_context context{1};

 private:
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> guard_;
  std::thread thread_;
};

TEST(RunBeating, ALoopThatHangsFallsSilentAndOneThatGoesOnDoesNot) {
  Loop hangs, idles;
  std::promise<void> go_on;
  boost::asio::post(hangs.context, [&] { go_on.get_future().wait(); });
  // An idle loop comes round every kInterval; this waits for one that does not.
  while (hangs.pulse.silence() < 3 * Pulse::kInterval) std::this_thread::yield();
  EXPECT_LT(idles.pulse.silence(), hangs.pulse.silence());
  const auto silence = hangs.pulse.silence();
  go_on.set_value();
  while (hangs.pulse.silence() >= silence) std::this_thread::yield();
}

TEST(RunBeating, EndsWhenWorkRunsOut) {
  boost::asio::io_context context{1};
  Pulse pulse("a loop");
  int ran = 0;
  for (int i = 0; i < 3; ++i) boost::asio::post(context, [&] { ++ran; });
  run_beating(context, pulse);
  EXPECT_EQ(ran, 3);
}

}  // namespace
}  // namespace lmcache::obs
