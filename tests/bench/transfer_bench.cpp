// Store and retrieve over the wire against one thread's memcpy of as many bytes, in turn.
//
// The pool is filled once before rates are taken (those stores, into pages that the kernel has to
// give and clear, are reported apart), so every measured dense store evicts as much as it stores.
// With "clear" the cache is emptied before each store instead, for a server that does not make
// room; before measured stores of windowed groups it always is, because into a full pool a store
// takes only the windows that hits are likely to need, and all are to be counted.
#include <cstdlib>
#include <cstring>
#include <exception>
#include <thread>

#include "bench/dealer.hpp"
#include "load/engine_memory.hpp"
#include "support/harness.hpp"

namespace lmcache::bench {
namespace {

using load::EngineMemory;

constexpr std::int64_t kInstance = 1;
constexpr std::uint32_t kChunkTokens = 256;
constexpr std::uint64_t kSeed = 1;  // of the engine's bytes, the same in every sequence

/// Copies pieces of one large touched buffer to another; never the same piece twice in a row, so
/// that small copies are no warmer than those of the server.
class Memcpy {
 public:
  explicit Memcpy(std::size_t bytes) : from_(bytes, std::byte{1}), to_(bytes, std::byte{2}) {}
  double gb_per_s(std::size_t bytes) {
    if (at_ + bytes > from_.size()) at_ = 0;
    const auto begin = Clock::now();
    std::memcpy(to_.data() + at_, from_.data() + at_, bytes);
    const double seconds = seconds_since(begin);
    at_ += bytes;
    return static_cast<double>(bytes) / seconds / 1e9;
  }

 private:
  std::vector<std::byte> from_, to_;
  std::size_t at_ = 0;
};

class Load {
 public:
  Load(const std::string& url, const std::string& model, EngineMemory& engine, bool clear)
      : dealer_(url), engine_(engine), clear_(clear) {
    key_.model = model;
    if (dealer_.call(wire::Op::kRegisterKvCache, engine_.registration(kInstance, model)).size() !=
        2) {
      throw std::runtime_error("registration failed");
    }
  }
  ~Load() { dealer_.call(wire::Op::kUnregisterKvCache, {test::Pack().integer(kInstance)}); }
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

  void clear_before_stores() { clear_ = true; }

  /// GB/s of a store of a new sequence.
  double store() {
    if (clear_) dealer_.call(wire::Op::kClear, {test::Pack().boolean(true)});
    key_.tokens = test::tokens_from(++sequence_, engine_.tokens());
    key_.end = static_cast<std::int64_t>(engine_.tokens());
    return transfer(wire::Op::kStore, engine_.stored_bytes());
  }

  /// GB/s of the retrieve of the sequence stored last.
  double retrieve() {
    look_up();
    const double rate = transfer(wire::Op::kRetrieve, engine_.retrieved_bytes());
    dealer_.call(wire::Op::kEndSession, {test::Pack().string(key_.request)});
    return rate;
  }

 private:
  double transfer(wire::Op op, std::uint64_t bytes) {
    key_.worker = 0;
    if (op == wire::Op::kStore) key_.request = std::to_string(sequence_);
    Frames payload{test::pack_key(key_), test::Pack().integer(kInstance), engine_.block_ids(),
                   test::Pack().binary("stub_ipc_handle")};
    if (op == wire::Op::kRetrieve) payload.push_back(test::Pack().integer(0));
    const auto begin = Clock::now();
    const Frames reply = dealer_.call(op, payload);
    const double seconds = seconds_since(begin);
    if (!test::transfer_ok(reply)) throw std::runtime_error("a transfer failed");
    return static_cast<double>(bytes) / seconds / 1e9;
  }

  // A server may answer a store before lookups see it; it is asked again, under a new id, until
  // they do.
  void look_up() {
    constexpr int kTries = 400;
    key_.worker.reset();
    for (int i = 0; i < kTries; ++i) {
      key_.request = std::to_string(sequence_) + "-" + std::to_string(i);
      dealer_.call(wire::Op::kLookup, {test::pack_key(key_), test::Pack().integer(1)});
      const Frames reply = dealer_.call(wire::Op::kWaitPrefetchStatus,
                                        {test::Pack().string(key_.request), test::Pack().real(60)});
      auto hit = test::payload_of(reply);
      std::int64_t chunks = 0;
      if (hit.read_int(chunks) && chunks * kChunkTokens == key_.end) return;
      dealer_.call(wire::Op::kFreeLookupLocks, {test::pack_key(key_), test::Pack().integer(1)});
      dealer_.call(wire::Op::kEndSession, {test::Pack().string(key_.request)});
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    throw std::runtime_error("stored chunks never became visible");
  }

  Dealer dealer_;
  EngineMemory& engine_;
  bool clear_;
  test::KeySpec key_;
  std::uint32_t sequence_ = 0;
};

int run(int argc, char** argv) {
  if (argc != 5 && argc != 6) {
    std::fprintf(stderr, "usage: transfer_bench URL dense|deepseek ROUNDS POOL_BYTES [clear]\n");
    return 2;
  }
  const bool dense = std::string_view(argv[2]) == "dense";
  const int rounds = std::atoi(argv[3]);
  const auto pool_bytes = std::strtoull(argv[4], nullptr, 10);
  EngineMemory engine(dense ? geometry::dense_bf16 : geometry::deepseek_v4, kChunkTokens,
                      dense ? 8 : 16);
  engine.fill(kSeed);
  const bool clear = argc == 6;
  Load load(argv[1], argv[2], engine, clear);
  Results results;
  for (std::uint64_t stored = 0; stored < pool_bytes * 5 / 4; stored += engine.stored_bytes()) {
    const double rate = load.store();
    const bool cold = clear ? stored == 0 : stored + engine.stored_bytes() < pool_bytes * 3 / 4;
    if (cold) results.add("cold_store_gbs", rate);
  }
  engine.wipe();
  load.retrieve();
  if (engine.bad_blocks(kSeed) > 0) throw std::runtime_error("a retrieve brought back other bytes");
  engine.fill(kSeed);
  Memcpy copy(std::max<std::size_t>(engine.stored_bytes(), 256u << 20));
  copy.gb_per_s(engine.stored_bytes());
  if (!dense) load.clear_before_stores();
  for (int round = 0; round < rounds; ++round) {
    results.add("store_memcpy_gbs", copy.gb_per_s(engine.stored_bytes()));
    results.add("store_gbs", load.store());
    results.add("retrieve_memcpy_gbs", copy.gb_per_s(engine.retrieved_bytes()));
    results.add("retrieve_gbs", load.retrieve());
  }
  results.add("store_mb", static_cast<double>(engine.stored_bytes()) / 1e6);
  results.add("retrieve_mb", static_cast<double>(engine.retrieved_bytes()) / 1e6);
  results.print();
  return 0;
}

}  // namespace
}  // namespace lmcache::bench

int main(int argc, char** argv) try {
  return lmcache::bench::run(argc, argv);
} catch (const std::exception& error) {
  std::fprintf(stderr, "transfer_bench: %s\n", error.what());
  return 1;
}
