#include "engine/engine.hpp"

#include "obs/log.hpp"
#include "obs/metrics.hpp"

#include <algorithm>
#include <map>
#include <string>

namespace lmcache::engine {
namespace {

// Token chains are a cache of hashes: this much keeps some 60 million tokens, and losing one costs
// a re-hash.
constexpr std::uint64_t kChainBytesMax = 256ull << 20;
constexpr std::chrono::seconds kMaintenanceInterval{1};
constexpr std::chrono::seconds kUsageInterval{2};

CacheOptions cache_options(const ServerConfig& config) {
  CacheOptions out;
  out.align_bytes = config.l1_align_bytes;
  out.policy = config.eviction_policy;
  out.trigger_watermark = config.eviction_trigger_watermark;
  out.eviction_ratio = config.eviction_ratio;
  return out;
}

// One more than asked for, so that one long request (a registration, a very long prompt) never
// holds up all others.
unsigned request_threads(const ServerConfig& config) {
  // BLAKE3 looks at the processor when it hashes first, without synchronisation: before there are
  // threads to race.
  static_cast<void>(none_hash());
  return std::max(1u, config.max_cpu_workers) + 1;
}

}  // namespace

Engine::Engine(const ServerConfig& config, std::span<std::byte> memory)
    : config_(config),
      cache_(memory, cache_options(config)),
      chains_(config.chunk_size, kChainBytesMax),
      threads_(request_threads(config)),
      maintenance_(threads_.context()),
      throughput_at_(Clock::now()),
      copier_(std::max(1u, config.max_gpu_workers)) {
  schedule_maintenance();
}

Engine::~Engine() {
  threads_.stop();
}

void Engine::schedule_maintenance() {
  maintenance_.expires_after(kMaintenanceInterval);
  maintenance_.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    maintain(Clock::now());
    schedule_maintenance();
  });
}

void Engine::maintain(Clock::time_point now) {
  housekeeping_.beat();
  const std::size_t lapsed = lookups_.expire(now - config_.l1_read_ttl, now - config_.session_ttl);
  if (lapsed > 0) {
    obs::log_event(obs::Level::kWarn, "leases lapsed without being used or released",
                   {{"leases", lapsed}});
  }
  chains_.expire(now - config_.session_ttl);
  // With heartbeats every open connection has proven its worker alive; silence says something only
  // without them.
  if (config_.heartbeat_interval.count() == 0 && config_.worker_reap_timeout.count() > 0) {
    for (const InstancePtr& worker : instances_.reap(now - config_.worker_reap_timeout,
                                                     now - config_.worker_registration_grace)) {
      obs::log_event(obs::Level::kWarn, "worker reaped: silent for too long",
                     {{"instance", worker->id}});
    }
  }
  obs::metrics().eviction_ticks.add();
  if (const std::uint64_t freed = cache_.evict_above_watermark(); freed > 0) {
    obs::metrics().eviction_triggered.add();
    obs::metrics().evicted_by_watermark_bytes.add(freed);
    obs::log_event(obs::Level::kDebug, "evicted above the watermark", {{"bytes", freed}});
  }
  if (config_.extra_logging && now - throughput_at_ >= config_.extra_logging_interval)
    log_throughput(now);
  publish(now);
}

void Engine::publish(Clock::time_point now) {
  figures_.publish({cache_.stats(), copier_.stats(), instances_.size(), lookups_.size(),
                    chains_.size(), chains_.bytes()});
  if (now < usage_due_) return;
  const Clock::time_point begin = Clock::now();
  auto& models = obs::metrics().models;
  std::map<obs::ModelUsage*, ModelUsage> rows;  // several models may share the row "other"
  for (const auto& [model, bytes] : cache_.usage_by_model()) {
    ModelUsage& row = rows[&models.row({model})];
    row.resident_bytes += bytes.resident_bytes;
    row.pinned_bytes += bytes.pinned_bytes;
  }
  models.for_each([&](const auto&, obs::ModelUsage& row) {
    row.resident_bytes = rows[&row].resident_bytes;  // 0 for a model that has gone
    row.pinned_bytes = rows[&row].pinned_bytes;
  });
  // It looks at every chunk, so that it never takes more than a hundredth of a thread.
  usage_due_ = now + std::max<Clock::duration>(kUsageInterval, 100 * (Clock::now() - begin));
}

void Engine::log_throughput(Clock::time_point now) {
  const auto copied = copier_.stats();
  const auto memory = cache_.stats();
  const double seconds =
      std::chrono::duration<double>(now - std::exchange(throughput_at_, now)).count();
  const auto rate = [seconds](std::uint64_t after, std::uint64_t before) {
    return static_cast<double>(after - before) / seconds / 1e9;
  };
  obs::log_event(obs::Level::kInfo, "throughput",
                 {{"stored_gb_s", rate(copied.stored_bytes, throughput_.stored_bytes)},
                  {"retrieved_gb_s", rate(copied.retrieved_bytes, throughput_.retrieved_bytes)},
                  {"l1_used_bytes", memory.used_bytes},
                  {"l1_total_bytes", memory.total_bytes},
                  {"chunks", memory.chunks},
                  {"leased_chunks", memory.pinned_chunks},
                  {"workers", instances_.size()}});
  throughput_ = copied;
}

}  // namespace lmcache::engine
