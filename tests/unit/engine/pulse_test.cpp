// Each loop proves its own life: one that hangs falls silent, by name, and the others do not.
#include "obs/pulse.hpp"
#include "copy/cpu_copier.hpp"
#include "engine/request_threads.hpp"
#include "net/io_thread.hpp"
#include "support/harness.hpp"

#include <gtest/gtest.h>
#include <boost/asio/post.hpp>

#include <algorithm>
#include <future>
#include <thread>

namespace lmcache {
namespace {

/// Silence of the loop whose name starts so; the longest if there are several.
obs::Pulse::Clock::duration silence(std::string_view name) {
  obs::Pulse::Clock::duration longest{};
  for (const obs::Vital& vital : obs::vitals())
    if (vital.name.starts_with(name)) longest = std::max(longest, vital.silence);
  return longest;
}

/// What a healthy loop, idle or not, does not reach while the machine is not overloaded; waited
/// for, never measured.
constexpr auto kHangs = 4 * obs::Pulse::kInterval;

TEST(Pulses, ARequestThreadThatHangsFallsSilentAloneAndRecovers) {
  engine::RequestThreads threads(2);
  std::promise<void> go_on;
  boost::asio::post(threads.context(), [&] { go_on.get_future().wait(); });
  while (silence("request thread") < kHangs) std::this_thread::yield();
  const auto vitals = obs::vitals();
  const auto silent = std::ranges::count_if(
      vitals, [](const obs::Vital& vital) { return vital.silence >= kHangs; });
  EXPECT_EQ(silent, 1);
  go_on.set_value();
  while (silence("request thread") >= kHangs) std::this_thread::yield();
}

TEST(Pulses, ACopyThreadThatHangsFallsSilentAndRecovers) {
  copy::CpuCopier copier(1);
  std::promise<void> go_on;
  copy::CopyJob job;
  job.done = [&](const Status&) { go_on.get_future().wait(); };
  copier.submit(std::move(job));
  while (silence("copy thread 0") < kHangs) std::this_thread::yield();
  go_on.set_value();
  while (silence("copy thread 0") >= kHangs) std::this_thread::yield();
}

TEST(Pulses, L1IsAliveAsLongAsHousekeepingFindsItWell) {
  test::Harness harness;
  std::promise<void> go_on;
  const auto released = go_on.get_future().share();
  for (int i = 0; i < 64; ++i)  // more than there are request threads
    boost::asio::post(harness.engine().threads(), [released] { released.wait(); });
  while (silence("L1 pool") < kHangs) std::this_thread::yield();
  harness.engine().maintain(engine::Clock::now());  // nobody else runs it now
  EXPECT_LT(silence("L1 pool"), kHangs);
  go_on.set_value();
}

TEST(Pulses, AnIoThreadThatHangsFallsSilentAndRecovers) {
  net::IoThread thread;
  thread.start();
  std::promise<void> go_on;
  thread.post([&] { go_on.get_future().wait(); });
  while (silence("I/O thread") < kHangs) std::this_thread::yield();
  go_on.set_value();
  while (silence("I/O thread") >= kHangs) std::this_thread::yield();
  thread.post([&] { thread.stop_all(); });
  thread.join();
}

}  // namespace
}  // namespace lmcache
