// Everything requests share, wired together: the pool and cache, copy threads, GPUs, registered
// workers, leases and token chains. Owns the request threads and the maintenance timer.
#pragma once

#include "copy/cpu_copier.hpp"
#include "copy/segment.hpp"
#include "engine/figures.hpp"
#include "engine/instances.hpp"
#include "engine/lookups.hpp"
#include "engine/request_threads.hpp"
#include "engine/token_chain.hpp"
#include "gpu/devices.hpp"
#include "gpu/pinned_pool.hpp"
#include "obs/pulse.hpp"
#include "obs/seqlock.hpp"

#include <lmcache/cache.hpp>
#include <lmcache/config.hpp>

#include <boost/asio/steady_timer.hpp>

#include <memory>
#include <mutex>

namespace lmcache::engine {

class Engine {
 public:
  /// `memory` is L1 (not owned). Starts the request threads and the maintenance timer.
  Engine(const ServerConfig& config, std::span<std::byte> memory);
  /// Lets running requests end; nothing may be submitted any more.
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  [[nodiscard]] const ServerConfig& config() const noexcept { return config_; }
  [[nodiscard]] Cache& cache() noexcept { return cache_; }
  [[nodiscard]] copy::CpuCopier& copier() noexcept { return copier_; }
  [[nodiscard]] gpu::Devices& devices() noexcept { return devices_; }
  [[nodiscard]] const gpu::PinnedPool& pinned_pool() const noexcept { return pinned_pool_; }
  [[nodiscard]] copy::SegmentTable& segments() noexcept { return segments_; }
  [[nodiscard]] Instances& instances() noexcept { return instances_; }
  [[nodiscard]] Lookups& lookups() noexcept { return lookups_; }
  [[nodiscard]] wire::KnownTokens& known_tokens() noexcept { return known_tokens_; }
  [[nodiscard]] TokenChains& chains() noexcept { return chains_; }
  /// Request threads: decoding, hashing, planning. Nothing submitted here may wait for anything.
  [[nodiscard]] boost::asio::io_context& threads() noexcept { return threads_.context(); }

  /// As of the last round of housekeeping; takes no lock.
  [[nodiscard]] Figures figures() const noexcept { return figures_.read(); }
  /// Likewise; waits for nobody but others who take the pointer.
  [[nodiscard]] std::shared_ptr<const Listings> listings() const;

  /// One round of housekeeping: lapsed leases and sessions, silent workers, background eviction; a
  /// probe of the pool.
  void maintain(Clock::time_point now);

 private:
  void schedule_maintenance();
  void log_throughput(Clock::time_point now);
  void publish(Clock::time_point now);

  const ServerConfig config_;
  Cache cache_;
  gpu::PinnedPool pinned_pool_;
  gpu::Devices devices_;
  copy::SegmentTable segments_;
  Instances instances_;
  Lookups lookups_;
  wire::KnownTokens known_tokens_;
  TokenChains chains_;
  obs::Pulse housekeeping_{"housekeeping"};  // beaten by maintain()
  obs::Pulse pool_{"L1 pool"};               // likewise, where its probe succeeds
  RequestThreads threads_;
  boost::asio::steady_timer maintenance_;
  Clock::time_point throughput_at_;  // of the last throughput line; maintenance only
  copy::CpuCopier::Stats throughput_;
  Clock::time_point usage_due_;  // of the next count by model; maintenance only
  obs::Seqlock<Figures> figures_;
  mutable std::mutex listings_mutex_;  // guards the pointer
  std::shared_ptr<const Listings> listings_ = std::make_shared<const Listings>();
  copy::CpuCopier copier_;  // last: its threads end before anything they call goes
};

}  // namespace lmcache::engine
