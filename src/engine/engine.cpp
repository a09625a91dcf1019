#include "engine/engine.hpp"

#include "gpu/gpu_cpus.hpp"
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

// Of lists as they came, with their encodings: of the requests under way.
constexpr std::uint64_t kKnownTokensMax = 64ull << 20;
constexpr std::chrono::seconds kMaintenanceInterval{1};
constexpr std::chrono::seconds kUsageInterval{2};

// L1 is registered with CUDA in parts of this size; no object straddles two.
constexpr std::uint64_t kPoolPartBytes = 4ull << 30;

CacheOptions cache_options(const ServerConfig& config) {
  CacheOptions out;
  out.align_bytes = config.l1_align_bytes;
  out.part_bytes = kPoolPartBytes;
  out.policy = config.eviction_policy;
  out.trigger_watermark = config.eviction_trigger_watermark;
  out.eviction_ratio = config.eviction_ratio;
  out.window_checkpoint_chunks = config.window_checkpoint_chunks;
  out.quotas = config.tenant_quotas;
  return out;
}

gpu::PinnedPool::Options pool_options(const ServerConfig& config) {
  gpu::PinnedPool::Options out;
  out.part_bytes = kPoolPartBytes;
  out.first_bytes = static_cast<std::uint64_t>(config.l1_init_size_gb * (1ull << 30));
  return out;
}

gpu::DeviceOptions device_options(const ServerConfig& config) {
  gpu::DeviceOptions out;
  out.staging_bytes = config.gpu_staging_mb << 20;
  out.copy_blocks = config.gpu_copy_blocks;
  out.align_bytes = config.l1_align_bytes;
  out.isolated_ipc = config.isolated_ipc;
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
      pinned_pool_(memory, pool_options(config)),
      devices_(device_options(config), pinned_pool_),
      known_tokens_(kKnownTokensMax),
      chains_(config.chunk_size, kChainBytesMax),
      threads_(request_threads(config)),
      maintenance_(threads_.context()),
      throughput_at_(Clock::now()),
      copier_(std::max(1u, config.max_gpu_workers)) {
  // Without a GPU memory is taken when it is first used.
  if (gpu::Devices::built() && gpu::any_gpu()) pinned_pool_.touch(!config.l1_use_lazy);
  obs::metrics().lives.sample(config.metrics ? config.metrics_sample_rate : 0);
  publish(Clock::now());  // whoever asks before the first round sees L1 as it is
  schedule_maintenance();
}

Engine::~Engine() {
  threads_.stop();
  devices_.stop();  // before anything its callbacks use goes
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
  if (const Status well = cache_.probe(); well) {
    pool_.beat();
  } else {
    obs::log_event(obs::Level::kError, "L1 is unwell", {{"reason", well.error().text}});
  }
  const std::size_t lapsed = lookups_.expire(now - config_.l1_read_ttl, now - config_.session_ttl);
  if (lapsed > 0) {
    obs::log_event(obs::Level::kWarn, "leases lapsed without being used or released",
                   {{"leases", lapsed}});
  }
  known_tokens_.expire(now - config_.session_ttl);
  chains_.expire(now - config_.session_ttl);
  if (config_.worker_reap_timeout.count() > 0) {
    for (const InstancePtr& worker : instances_.reap(now - config_.worker_reap_timeout,
                                                     now - config_.worker_registration_grace)) {
      if (worker->memory) devices_.abandon(worker->memory);
      obs::log_event(obs::Level::kWarn, "worker reaped: silent for too long",
                     {{"instance", worker->id}});
    }
  }
  obs::metrics().eviction_ticks.add();
  if (const std::uint64_t freed = cache_.evict_above_watermark(); freed > 0) {
    obs::metrics().eviction_triggered.add();
    obs::log_event(obs::Level::kDebug, "evicted above the watermark", {{"bytes", freed}});
  }
  if (config_.extra_logging && now - throughput_at_ >= config_.extra_logging_interval)
    log_throughput(now);
  publish(now);
}

void Engine::publish(Clock::time_point now) {
  figures_.publish({cache_.stats(), copier_.stats(), instances_.size(), lookups_.size(),
                    lookups_.leases(), chains_.size(), chains_.bytes()});
  auto listings =
      std::make_shared<const Listings>(Listings{devices_.status(), cache_.limited_tenants()});
  {
    const std::lock_guard lock(listings_mutex_);
    listings_.swap(listings);
  }
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

std::shared_ptr<const Listings> Engine::listings() const {
  const std::lock_guard lock(listings_mutex_);
  return listings_;
}

void Engine::log_throughput(Clock::time_point now) {
  auto copied = copier_.stats();
  for (const gpu::DeviceStatus& device : devices_.status()) {
    copied.stored_bytes += device.stored_bytes;
    copied.retrieved_bytes += device.retrieved_bytes;
  }
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
