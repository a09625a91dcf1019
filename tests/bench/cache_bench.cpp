// Time under the cache's mutex, which is what one request costs all others: lookups, stores, and
// the allocator at high fill.
#include <benchmark/benchmark.h>
#include <sys/mman.h>
#include <lmcache/cache.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <memory>
#include <random>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "pool/allocator.hpp"
#include "support/ageing_pool.hpp"

namespace lmcache {
namespace {

constexpr std::uint64_t kUnit = 4096;

/// Address space only: objects are never written here.
class Memory {
 public:
  explicit Memory(std::size_t bytes)
      : bytes_(bytes),
        base_(::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)) {}
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  ~Memory() { ::munmap(base_, bytes_); }
  [[nodiscard]] std::span<std::byte> span() const {
    return {static_cast<std::byte*>(base_), bytes_};
  }

 private:
  std::size_t bytes_;
  void* base_;
};

std::vector<ChunkHash> chain_of(std::uint64_t seed, std::size_t chunks) {
  std::mt19937_64 random(seed);
  std::vector<ChunkHash> chain(chunks);
  for (ChunkHash& hash : chain)
    for (std::size_t i = 0; i < 4; ++i) {
      const std::uint64_t word = random();
      std::memcpy(hash.bytes.data() + i * sizeof word, &word, sizeof word);
    }
  return chain;
}

LayoutPtr layout_of(const std::vector<std::int32_t>& windows) {
  auto layout = std::make_shared<ObjectLayout>();
  for (const std::int32_t window : windows) layout->groups.push_back({kUnit, window, false});
  return layout;
}

void store(Cache& cache, const Keyspace& keyspace, std::uint32_t rank, const LayoutPtr& layout,
           std::span<const ChunkHash> chain, std::uint32_t first) {
  const std::vector<std::vector<bool>> wanted(layout->groups.size(),
                                              std::vector<bool>(chain.size() - first, true));
  cache.commit(cache.reserve(keyspace, rank, layout, chain, first, wanted).value());
}

/// 512 chunks (131,072 tokens), four object groups, 8 ranks, among `others` sequences of the same
/// kind. Includes the end of the lease. Different sequences in turn, so that caches are as cold as
/// the working set makes them.
void lookup(benchmark::State& state) {
  const auto sequences = static_cast<std::size_t>(state.range(0));
  const Memory memory((sequences + 1) * 512 * 4 * 8 * kUnit);
  Cache cache(memory.span(), {});
  const Keyspace keyspace{"model", "", 8};
  const LayoutPtr layout = layout_of({-1, 1, 1, 4});
  std::vector<std::vector<ChunkHash>> chains;
  for (std::size_t i = 0; i < sequences; ++i) {
    chains.push_back(chain_of(i + 1, 512));
    for (std::uint32_t rank = 0; rank < 8; ++rank)
      store(cache, keyspace, rank, layout, chains[i], 0);
  }
  std::size_t next = 0;
  for (auto _ : state) {
    const Lease lease = cache.lookup(keyspace, chains[next], std::span(&layout, 1));
    if (lease.chunks() != 512) state.SkipWithError("not a full hit");
    next = (next + 1) % sequences;
  }
}
BENCHMARK(lookup)->Arg(1)->Arg(64)->Unit(benchmark::kMicrosecond);

/// A store of 16 chunks, four groups, behind a prefix, into a full pool: it evicts as much as it
/// stores.
void reserve_and_commit(benchmark::State& state) {
  const auto prefix = static_cast<std::uint32_t>(state.range(0));
  const Memory memory(512 * 1024 * kUnit);
  Cache cache(memory.span(), {});
  const Keyspace keyspace{"model", "", 1};
  const LayoutPtr layout = layout_of({-1, 1, 1, 4});
  for (std::uint64_t i = 0; i < 130; ++i)
    store(cache, keyspace, 0, layout, chain_of(i + 1, 1024), 0);
  const std::vector<ChunkHash> base = chain_of(1000, prefix);
  if (prefix > 0) store(cache, keyspace, 0, layout, base, 0);
  std::uint64_t seed = 2000;
  for (auto _ : state) {
    state.PauseTiming();
    std::vector<ChunkHash> chain = base;
    const std::vector<ChunkHash> own = chain_of(seed++, 16);
    chain.insert(chain.end(), own.begin(), own.end());
    state.ResumeTiming();
    store(cache, keyspace, 0, layout, chain, prefix);
  }
  state.counters["evicted"] = static_cast<double>(cache.stats().evicted_objects);
}
BENCHMARK(reserve_and_commit)->Arg(0)->Arg(1024)->Unit(benchmark::kMicrosecond)->Iterations(4000);

/// A full pool of `objects` chunks of one object each: sequences of 64 chunks are stored, which
/// evicts as many, and looked up at random. Nanoseconds per chunk, and the longest store, which is
/// what growing tables cost.
void steady_state(benchmark::State& state, const char* policy) {
  constexpr std::size_t kChain = 64;
  const auto objects = static_cast<std::size_t>(state.range(0));
  const Memory memory(objects * kUnit);
  Cache cache(memory.span(), {.policy = policy});
  const Keyspace keyspace{"model", "", 1};
  const LayoutPtr layout = layout_of({-1});
  std::uint64_t seed = 1;
  double longest = 0;
  const auto timed = [](const auto& work) {
    const auto start = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  const auto store_next = [&] {
    const std::vector<ChunkHash> chain = chain_of(seed++, kChain);
    const double took = timed([&] { store(cache, keyspace, 0, layout, chain, 0); });
    longest = std::max(longest, took);
    return took;
  };
  while (seed <= objects / kChain) store_next();
  std::mt19937_64 random(1);
  double stores = 0;
  double lookups = 0;
  for (auto _ : state) {
    const std::vector<ChunkHash> chain = chain_of(seed - 1 - random() % (objects / kChain), kChain);
    const double lookup_took = timed(
        [&] { benchmark::DoNotOptimize(cache.lookup(keyspace, chain, std::span(&layout, 1))); });
    const double store_took = store_next();
    lookups += lookup_took;
    stores += store_took;
    state.SetIterationTime(lookup_took + store_took);
  }
  const double chunks = static_cast<double>(state.iterations()) * kChain;
  state.counters["lookup_ns"] = lookups * 1e9 / chunks;
  state.counters["store_ns"] = stores * 1e9 / chunks;
  state.counters["longest_store_us"] = longest * 1e6;
}
void steady_state_sizes(benchmark::internal::Benchmark* bench) {
  bench->Arg(1 << 20)->Arg(1 << 22)->Arg(1 << 24)->UseManualTime()->Iterations(20'000);
  bench->Unit(benchmark::kMicrosecond);
}
BENCHMARK_CAPTURE(steady_state, LRU, "LRU")->Apply(steady_state_sizes);
BENCHMARK_CAPTURE(steady_state, LFU, "LFU")->Apply(steady_state_sizes);
BENCHMARK_CAPTURE(steady_state, ARC, "ARC")->Apply(steady_state_sizes);
BENCHMARK_CAPTURE(steady_state, S3FIFO, "S3FIFO")->Apply(steady_state_sizes);
BENCHMARK_CAPTURE(steady_state, WTINYLFU, "WTINYLFU")->Apply(steady_state_sizes);
BENCHMARK_CAPTURE(steady_state, GITTINS, "GITTINS")->Apply(steady_state_sizes);
BENCHMARK_CAPTURE(steady_state, IsolatedLRU, "IsolatedLRU")->Apply(steady_state_sizes);

/// What another request waits for at most while a pool of `objects` is cleared: the longest of its
/// stats() calls meanwhile.
void clear_all(benchmark::State& state) {
  const auto objects = static_cast<std::size_t>(state.range(0));
  const Memory memory(objects * kUnit);
  Cache cache(memory.span(), {});
  const LayoutPtr layout = layout_of({-1});
  for (auto _ : state) {
    for (std::uint64_t seed = 1; seed <= objects / 64; ++seed)
      store(cache, {"model", "", 1}, 0, layout, chain_of(seed, 64), 0);
    std::atomic<bool> done = false;
    double longest = 0;
    std::thread other([&] {
      while (!done) {
        const auto start = std::chrono::steady_clock::now();
        benchmark::DoNotOptimize(cache.stats());
        const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
        longest = std::max(longest, took.count());
      }
    });
    const auto start = std::chrono::steady_clock::now();
    cache.clear(false);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    done = true;
    other.join();
    state.SetIterationTime(took.count());
    state.counters["longest_wait_us"] = longest * 1e6;
  }
}
BENCHMARK(clear_all)->Arg(1 << 20)->Arg(1 << 22)->UseManualTime()->Iterations(1)->Unit(
    benchmark::kMillisecond);

/// 24 simulated hours of mixed models, sizes of 1 KiB to 64 MiB at 95 % fill: what a call costs
/// then, and what gaps cost.
void aged_pool(benchmark::State& state) {
  test::AgeingPool aged(static_cast<std::uint64_t>(state.range(0)) << 30, 1);
  std::vector<double> times;
  const auto timed = [&](const auto& call) {
    const auto start = std::chrono::steady_clock::now();
    call();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    times.push_back(took.count() * 1e9);
  };
  for (auto _ : state)
    for (std::uint64_t second = 0; second < test::AgeingPool::kSecondsPerDay; ++second)
      aged.step(second, timed);
  const double free = static_cast<double>(aged.pool().free_bytes());
  std::ranges::sort(times);
  state.counters["p50_ns"] = times[times.size() / 2];
  state.counters["p99_ns"] = times[times.size() * 99 / 100];
  state.counters["lost_after_percent"] = 100 * aged.lost_now;
  state.counters["lost_percent"] = 100 * aged.lost / static_cast<double>(aged.allocations);
  state.counters["most_lost_percent"] = 100 * aged.most_lost;
  state.counters["failures"] = static_cast<double>(aged.failures);
  state.counters["gaps"] = static_cast<double>(aged.pool().free_extents().size());
  state.counters["largest_of_free"] = static_cast<double>(aged.pool().largest_free_bytes()) / free;
}
BENCHMARK(aged_pool)->Arg(16)->Arg(64)->Arg(512)->Iterations(1)->Unit(benchmark::kMillisecond);

/// One free and one allocate at 95 % fill with sizes from 1 KiB to 64 MiB; `objects` live ones on
/// average.
void allocate_and_free(benchmark::State& state) {
  const auto objects = static_cast<std::size_t>(state.range(0));
  std::mt19937_64 random(1);
  const auto size = [&] { return (std::uint64_t{1} << (10 + random() % 16)) + random() % 65536; };
  std::uint64_t mean = 0;
  for (int i = 0; i < 10000; ++i) mean += size() / 10000;
  pool::Allocator pool(objects * mean, kUnit);
  std::vector<pool::Extent> live;
  const auto fill = [&] {
    while (static_cast<double>(pool.used_bytes()) <
           0.95 * static_cast<double>(pool.total_bytes())) {
      const std::uint64_t bytes = size();
      const auto offset = pool.allocate(bytes);
      if (!offset) return;
      live.push_back({*offset, bytes});
    }
  };
  fill();
  std::vector<double> times;
  for (auto _ : state) {
    const std::size_t victim = random() % live.size();
    const std::uint64_t bytes = live[victim].bytes;
    const auto start = std::chrono::steady_clock::now();
    pool.free(live[victim].offset, bytes);
    const auto middle = std::chrono::steady_clock::now();
    std::swap(live[victim], live.back());
    live.pop_back();
    // What comes in is of another size than what went, and one in may need several out.
    std::uint64_t wanted = size();
    const auto before = std::chrono::steady_clock::now();
    const auto offset = pool.allocate(wanted);
    const auto end = std::chrono::steady_clock::now();
    if (offset) live.push_back({*offset, wanted});
    const std::chrono::duration<double> elapsed = (middle - start) + (end - before);
    times.push_back(elapsed.count() * 1e9);
    state.SetIterationTime(elapsed.count());
    fill();
  }
  std::ranges::sort(times);
  state.counters["p99_ns"] = times[times.size() * 99 / 100];
  state.counters["free_extents"] = static_cast<double>(pool.free_extents().size());
  state.counters["largest_of_free"] =
      static_cast<double>(pool.largest_free_bytes()) / static_cast<double>(pool.free_bytes());
}
BENCHMARK(allocate_and_free)
    ->Arg(10'000)
    ->Arg(1'000'000)
    ->UseManualTime()
    ->Unit(benchmark::kNanosecond)
    ->Iterations(500'000);

}  // namespace
}  // namespace lmcache
