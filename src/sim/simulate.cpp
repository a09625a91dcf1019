#include "sim/simulate.hpp"

#include <algorithm>
#include <chrono>
#include <span>
#include <utility>

#include "sim/address_range.hpp"

namespace lmcache::sim {
namespace {

using Clock = std::chrono::steady_clock;

std::uint64_t total_bytes(std::span<const ObjectRef> objects) {
  std::uint64_t bytes = 0;
  for (const ObjectRef& object : objects) bytes += object.bytes;
  return bytes;
}

/// What a hit of that many chunks reads.
std::uint64_t bytes_of_hit(const ObjectLayout& layout, std::uint64_t chunks) {
  std::uint64_t bytes = 0;
  for (const ObjectLayout::Group& group : layout.groups) {
    const auto window = static_cast<std::uint64_t>(group.window_chunks);
    bytes += group.bytes * (group.window_chunks > 0 ? std::min(window, chunks) : chunks);
  }
  return bytes;
}

class Pass {
 public:
  Pass(std::span<std::byte> memory, const SimulationOptions& options)
      : options_(options),
        cache_(memory, options.cache),
        everything_(options.layout->groups.size(), std::vector<bool>(options.step_chunks, true)) {}

  void serve(const TraceRequest& request) {
    evict_in_background(request.timestamp_ms);
    const Keyspace keyspace{"model", request.salt, 1};
    const auto chain = chain_of(request, options_.block_tokens, options_.chunk_tokens);
    ++report_.requests;
    report_.asked_tokens += chain.size() * options_.chunk_tokens;
    report_.asked_bytes += bytes_of_hit(*options_.layout, chain.size());
    const std::uint32_t hit = look_up(keyspace, chain);
    for (std::uint32_t first = hit; first < chain.size();) {
      const auto last = std::min<std::size_t>(chain.size(), first + options_.step_chunks);
      if (!store(keyspace, std::span(chain).first(last), first)) break;
      first = static_cast<std::uint32_t>(last);
    }
    cache_.touch(keyspace, std::span(chain).first(hit));
  }

  SimulationReport report() {
    report_.stats = cache_.stats();
    report_.lookup_ns /= static_cast<double>(std::max(report_.requests, std::uint64_t{1}));
    report_.store_ns /= static_cast<double>(std::max(stores_, std::uint64_t{1}));
    const CacheStats& stats = report_.stats;
    const auto pool = static_cast<double>(stats.total_bytes);
    report_.fragmentation =
        static_cast<double>(stats.idle_bytes_then) /
        static_cast<double>(std::max(stats.evicting_allocations, std::uint64_t{1})) / pool;
    report_.worst_fragmentation = static_cast<double>(stats.most_idle_bytes_then) / pool;
    return report_;
  }

 private:
  void evict_in_background(std::uint64_t now_ms) {
    if (now_ms / 1000 == second_) return;
    second_ = now_ms / 1000;
    cache_.evict_above_watermark();
  }

  std::uint32_t look_up(const Keyspace& keyspace, std::span<const ChunkHash> chain) {
    const auto start = Clock::now();
    const Lease lease = cache_.lookup(keyspace, chain, std::span(&options_.layout, 1));
    report_.lookup_ns += static_cast<double>((Clock::now() - start).count());
    if (lease.chunks() == 0) return 0;
    report_.served_tokens += std::uint64_t{lease.chunks()} * options_.chunk_tokens;
    const auto pins = cache_.open_read(lease, 0, options_.layout, 0, lease.chunks());
    if (pins) report_.served_bytes += total_bytes(pins->objects());
    return lease.chunks();
  }

  bool store(const Keyspace& keyspace, std::span<const ChunkHash> chain, std::uint32_t first) {
    for (std::vector<bool>& group : everything_) group.resize(chain.size() - first, true);
    const auto start = Clock::now();
    auto ticket = cache_.reserve(keyspace, 0, options_.layout, chain, first, everything_);
    const bool stored = ticket.has_value();
    if (stored) cache_.commit(std::move(*ticket));
    report_.store_ns += static_cast<double>((Clock::now() - start).count());
    ++stores_;
    if (!stored) ++report_.failed_stores;
    return stored;
  }

  const SimulationOptions& options_;
  Cache cache_;
  std::vector<std::vector<bool>> everything_;
  SimulationReport report_;
  std::uint64_t second_ = 0, stores_ = 0;
};

double ratio(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace

double SimulationReport::token_hit_ratio() const noexcept {
  return ratio(served_tokens, asked_tokens);
}

double SimulationReport::byte_hit_ratio() const noexcept {
  return ratio(served_bytes, asked_bytes);
}

Result<SimulationReport> simulate(const Trace& trace, const SimulationOptions& options) {
  const AddressRange range(options.pool_bytes);
  if (!range.valid())
    return Error{Cause::kNoMemory, "no address space for a pool of " +
                                       std::to_string(options.pool_bytes) +
                                       " bytes; a smaller one can be simulated"};
  Pass pass(range.memory(), options);
  for (const TraceRequest& request : trace) pass.serve(request);
  return pass.report();
}

}  // namespace lmcache::sim
