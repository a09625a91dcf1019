// Time under the cache's mutex, which is what one request costs all others: lookups, stores, and
// the allocator at high fill.
#include <benchmark/benchmark.h>
#include <sys/mman.h>
#include <lmcache/cache.hpp>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <memory>
#include <random>
#include <span>
#include <utility>
#include <vector>

#include "pool/allocator.hpp"

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
