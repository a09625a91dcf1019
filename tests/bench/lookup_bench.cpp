// Server time of one lookup: a hit of 131,072 tokens, four object groups, 8 ranks. The message goes
// into the dispatcher as the network layer would hand it over, so decoding, hashing, the index and
// the change of threads count and the socket does not. Decoding and hashing are measured alone too.
#include <benchmark/benchmark.h>

#include "app/heap.hpp"
#include "obs/log.hpp"
#include "support/harness.hpp"

namespace lmcache::test {
namespace {

constexpr std::int64_t kRanks = 8, kChunk = 256, kChunks = 512, kTokens = kChunk * kChunks;
constexpr std::array<std::int64_t, 4> kWindows{-1, 256, 512, 1024};

/// One small layer per object group: [chunks + 1 blocks, K and V, a chunk's rows, 1 head, 8].
constexpr std::int64_t kHead = 8, kRow = kHead, kBlock = 2 * kChunk * kRow;

wire::Bytes descriptor(const SharedMemory& memory) {
  Pack out;
  out.map(5).string("type").string("cpu_shm").string("shm_name").string(memory.name());
  out.string("nbytes").integer(static_cast<std::int64_t>(memory.size()));
  out.string("version").integer(1).string("metadata").map(5).string("dtype").string("bfloat16");
  out.string("shape").integers(std::array<std::int64_t, 5>{kChunks + 1, 2, kChunk, 1, kHead});
  out.string("stride").integers(std::array<std::int64_t, 5>{kBlock, kBlock / 2, kRow, kHead, 1});
  out.string("storage_offset").integer(0).string("device_uuid").string("cpu");
  return out;
}

Frames registration(std::int64_t instance,
                    const std::vector<std::unique_ptr<SharedMemory>>& layers) {
  Pack tensors, groups;
  tensors.array(layers.size());
  for (const auto& layer : layers) tensors.ext(1, descriptor(*layer));
  groups.array(kWindows.size());
  for (std::size_t i = 0; i < kWindows.size(); ++i) {
    const auto index = static_cast<std::int64_t>(i);
    groups.map(4).string("engine_group_id").integer(index);
    groups.string("layer_indices").integers(std::vector{index});
    groups.string("tokens_per_block").integer(kChunk);
    groups.string("sw_size_tokens").integer(kWindows[i]);
  }
  return {Pack().integer(instance),
          tensors,
          Pack().string("m"),
          Pack().integer(kRanks),
          Pack().string("vllm"),
          Pack().map(1).string("kv_layout").string("NHD"),
          groups};
}

ServerConfig config() {
  ServerConfig out;
  out.chunk_size = kChunk;
  out.eviction_trigger_watermark = 1.0;
  return out;
}

/// A server that holds the whole sequence for every rank.
class Stored {
 public:
  Stored() : harness_(config(), std::size_t{160} << 20), peer_(harness_.connect()) {
    for (std::size_t i = 0; i < kWindows.size(); ++i) {
      layers_.push_back(std::make_unique<SharedMemory>(std::size_t{kBlock} * 2 * (kChunks + 1)));
    }
    key_.world_size = kRanks;
    key_.tokens = tokens_from(1, kTokens);
    key_.end = kTokens;
    for (std::int64_t rank = 0; rank < kRanks; ++rank) {
      if (harness_.call(peer_, wire::Op::kRegisterKvCache, registration(rank, layers_)).size() !=
              2 ||
          !store(rank)) {
        throw std::runtime_error("setting the server up failed");
      }
    }
    key_.worker.reset();
  }

  /// What the lookup itself takes; the rest of the request's life is not measured.
  std::chrono::duration<double> lookup(const std::string& request, bool end_session) {
    key_.request = request;
    const Frames payload{pack_key(key_), Pack().integer(1)};
    const auto begin = std::chrono::steady_clock::now();
    harness_.call(peer_, wire::Op::kLookup, payload);
    const auto elapsed = std::chrono::steady_clock::now() - begin;
    const Frames reply =
        harness_.call(peer_, wire::Op::kQueryPrefetchStatus, {Pack().string(request)});
    auto hit = payload_of(reply);
    std::int64_t chunks = 0;
    if (!hit.read_int(chunks) || chunks != kChunks) throw std::runtime_error("not a full hit");
    if (end_session) harness_.call(peer_, wire::Op::kEndSession, {Pack().string(request)});
    return elapsed;
  }

  void forget_hashes() {
    harness_.engine().chains().expire(engine::Clock::now() + std::chrono::hours(1));
  }

  [[nodiscard]] const KeySpec& key() const { return key_; }

 private:
  bool store(std::int64_t rank) {
    key_.worker = rank;
    Pack ids;
    ids.array(kWindows.size());
    for (std::size_t i = 0; i < kWindows.size(); ++i) ids.integers(ids_from(1, kChunks));
    Frames payload = store_payload(key_, rank, {});
    payload[2] = ids;
    return transfer_ok(harness_.call(peer_, wire::Op::kStore, payload));
  }

  std::vector<std::unique_ptr<SharedMemory>> layers_;
  Harness harness_;
  net::PeerId peer_;
  KeySpec key_;
};

Stored& stored() {
  static Stored instance;
  return instance;
}

/// Tokens never seen before, as far as the hashes go: every chunk is hashed.
void lookup_new_tokens(benchmark::State& state) {
  std::size_t n = 0;
  for (auto _ : state) {
    stored().forget_hashes();
    state.SetIterationTime(stored().lookup(std::to_string(n++), true).count());
  }
}
BENCHMARK(lookup_new_tokens)->UseManualTime()->Unit(benchmark::kMillisecond);

/// As any hit is in practice: its tokens were hashed when they were stored.
void lookup_known_tokens(benchmark::State& state) {
  stored().lookup("same", false);
  for (auto _ : state) state.SetIterationTime(stored().lookup("same", false).count());
}
BENCHMARK(lookup_known_tokens)->UseManualTime()->Unit(benchmark::kMillisecond);

void decode_key(benchmark::State& state) {
  const wire::Bytes frame = pack_key(stored().key());
  for (auto _ : state) benchmark::DoNotOptimize(wire::decode_key(frame));
}
BENCHMARK(decode_key)->Unit(benchmark::kMillisecond);

void hash_chunks(benchmark::State& state) {
  const auto key = wire::decode_key(pack_key(stored().key()));
  for (auto _ : state) {
    ChunkHash hash = engine::none_hash();
    for (std::size_t i = 0; i < kChunks; ++i) {
      hash = engine::hash_chunk(hash, std::span{*key->tokens}.subspan(i * kChunk, kChunk));
    }
    benchmark::DoNotOptimize(hash);
  }
}
BENCHMARK(hash_chunks)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace lmcache::test

int main(int argc, char** argv) try {
  lmcache::app::keep_freed_memory();  // as the server does
  lmcache::obs::setup_logging({.level = lmcache::obs::Level::kError});
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "lookup_bench: %s\n", error.what());
  return 1;
}
