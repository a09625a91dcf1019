// What the log says of throughput counts what GPUs have moved.
#include "obs/log.hpp"
#include "support/harness.hpp"
#include "unit/gpu/simulated_layers.hpp"

#include <algorithm>
#include <sstream>
#include <string>
#include <thread>

namespace lmcache::test {
namespace {

TEST(ThroughputLog, CountsWhatAGpuMoves) {
  simulated::reset(1);
  constexpr std::int64_t kBlocks = 40;
  const std::vector<wire::Bytes> layers(2, wire::Bytes(kBlocks * DenseWorker::kPage));
  std::ostringstream log;
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
    std::this_thread::sleep_for(std::chrono::milliseconds(2200));  // two rounds of housekeeping
  }
  obs::setup_logging({});
  const std::string text = log.str();
  const std::string rate = "throughput stored_gb_s=";
  double most = 0;
  for (auto at = text.find(rate); at != std::string::npos; at = text.find(rate, at + 1))
    most = std::max(most, std::stod(text.substr(at + rate.size())));
  EXPECT_GT(most, 0) << text;
}

}  // namespace
}  // namespace lmcache::test
