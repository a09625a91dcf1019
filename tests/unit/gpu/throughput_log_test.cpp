// What the log says of throughput counts what GPUs have moved.
#include "obs/log.hpp"
#include "support/harness.hpp"
#include "unit/gpu/simulated_cuda.hpp"

#include <algorithm>
#include <sstream>
#include <string>
#include <thread>

namespace lmcache::test {
namespace {

/// DenseWorker's registration with the layers on the GPU.
Frames gpu_registration(const DenseWorker& worker, const std::vector<wire::Bytes>& layers,
                        std::int64_t blocks) {
  constexpr std::int64_t kToken = DenseWorker::kHeads * DenseWorker::kHead;
  Pack tensors;
  tensors.array(layers.size());
  for (const wire::Bytes& layer : layers) {
    const auto handle = simulated::exported(layer);
    Pack out;
    out.map(6).string("type").string("cuda_raw").string("version").integer(1);
    out.string("ipc_handle")
        .binary({reinterpret_cast<const char*>(handle.data()), handle.size()})
        .string("alloc_offset")
        .integer(0)
        .string("nbytes")
        .integer(static_cast<std::int64_t>(layer.size()));
    out.string("metadata").map(5).string("dtype").string("bfloat16");
    out.string("shape").integers(std::vector<std::int64_t>{
        blocks, 2, DenseWorker::kBlock, DenseWorker::kHeads, DenseWorker::kHead});
    out.string("stride").integers(std::vector<std::int64_t>{2 * DenseWorker::kBlock * kToken,
                                                            DenseWorker::kBlock * kToken, kToken,
                                                            DenseWorker::kHead, 1});
    out.string("storage_offset").integer(0).string("device_uuid").string(simulated::uuid(0));
    tensors.ext(1, out);
  }
  Frames frames = worker.registration();
  frames[1] = tensors;
  return frames;
}

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
    EXPECT_EQ(error_text(harness.call(peer, wire::Op::kRegisterKvCache,
                                      gpu_registration(DenseWorker(1, kBlocks), layers, kBlocks))),
              "");
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
