// What the log says of throughput counts what GPUs have moved.
#include "obs/log.hpp"
#include "support/harness.hpp"
#include "unit/gpu/simulated_layers.hpp"

#include <algorithm>
#include <chrono>
#include <mutex>
#include <ostream>
#include <streambuf>
#include <string>
#include <thread>

namespace lmcache::test {
namespace {

/// What is logged, to be read while others log on.
class SharedText final : public std::streambuf {
 public:
  [[nodiscard]] std::string text() const {
    const std::lock_guard lock(mutex_);
    return text_;
  }

 private:
  int_type overflow(int_type byte) override {
    const std::lock_guard lock(mutex_);
    text_.push_back(static_cast<char>(byte));
    return byte;
  }
  std::streamsize xsputn(const char* bytes, std::streamsize count) override {
    const std::lock_guard lock(mutex_);
    text_.append(bytes, static_cast<std::size_t>(count));
    return count;
  }

  mutable std::mutex mutex_;
  std::string text_;
};

/// The highest rate of stores that the log tells of.
double most_stored(const std::string& text) {
  const std::string rate = "throughput stored_gb_s=";
  double most = 0;
  for (auto at = text.find(rate); at != std::string::npos; at = text.find(rate, at + 1))
    most = std::max(most, std::stod(text.substr(at + rate.size())));
  return most;
}

TEST(ThroughputLog, CountsWhatAGpuMoves) {
  simulated::reset(1);
  constexpr std::int64_t kBlocks = 40;
  const std::vector<wire::Bytes> layers(2, wire::Bytes(kBlocks * DenseWorker::kPage));
  SharedText logged;
  std::ostream log(&logged);
  obs::setup_logging({}, &log);
  {
    ServerConfig config = Harness::small_config();
    config.extra_logging = true;
    config.extra_logging_interval = std::chrono::milliseconds(1);
    Harness harness(config);
    const net::PeerId peer = harness.connect();
    Frames registration = DenseWorker(1, kBlocks).registration();
    registration[1] = layer_descriptors(layers, kBlocks);
    EXPECT_EQ(error_text(harness.call(peer, wire::Op::kRegisterKvCache, registration)), "");
    // What touches L1 beside a copy does so by atomic operations; a sanitizer wants both to.
    const auto pinned = [&] { return harness.engine().pinned_pool().status(); };
    while (pinned().pinned_bytes < pinned().total_bytes) std::this_thread::yield();
    KeySpec key;
    key.tokens = tokens_from(1, 96);
    key.end = 96;
    EXPECT_TRUE(
        transfer_ok(harness.call(peer, wire::Op::kStore, store_payload(key, 1, ids_from(1, 6)))));
    for (int i = 0; i < 3000 && most_stored(logged.text()) == 0; ++i)  // a round of housekeeping
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  obs::setup_logging({});
  EXPECT_GT(most_stored(logged.text()), 0) << logged.text();
}

}  // namespace
}  // namespace lmcache::test
