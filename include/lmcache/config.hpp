// Everything `lmcache server` can be told, with the defaults. Filled by src/app/cli.cpp; read-only
// afterwards.
#pragma once

#include <lmcache/cache.hpp>

#include <chrono>
#include <cstdint>
#include <map>
#include <string>

namespace lmcache {

/// Times are what was asked for, to the millisecond; sizes are bytes unless the name says
/// otherwise. Every value has passed the range and cross checks of the command line, so users need
/// not check again.
struct ServerConfig {
  // Request socket
  std::string host = "localhost";
  std::uint16_t port = 5555;   ///< 0: any free port, which the log names
  bool tcp = true;             ///< false when only --request-socket was asked for (--no-tcp)
  std::string request_socket;  ///< unix socket path, mode 0660; empty: none
  unsigned io_threads = 1;

  // Limits of one connection
  std::uint64_t max_message_bytes = 64ull << 20;
  std::uint32_t max_frames = 64;
  std::uint32_t max_connections = 4096;
  std::uint64_t max_unsent_bytes = 64ull << 20;
  std::uint32_t max_inflight = 1024;
  std::chrono::milliseconds handshake_timeout{10000};
  std::chrono::milliseconds heartbeat_interval{10000};  ///< 0: off
  std::chrono::milliseconds heartbeat_timeout{30000};
  std::chrono::milliseconds shutdown_timeout{30000};

  // Requests
  std::uint32_t chunk_size = 256;
  std::int64_t null_block_id = 0;
  unsigned max_workers = 1;      ///< what the next two were left to follow
  unsigned max_gpu_workers = 1;  ///< copy threads
  unsigned max_cpu_workers = 1;  ///< request threads
  bool separate_object_groups = true;
  std::chrono::milliseconds worker_reap_timeout{120'000};          ///< 0: never
  std::chrono::milliseconds worker_registration_grace{3'600'000};  ///< at least worker_reap_timeout
  std::chrono::milliseconds session_ttl{600'000};

  // GPUs
  std::uint64_t gpu_staging_mb = 128;  ///< MiB of staging buffers per GPU
  unsigned gpu_copy_blocks = 16;       ///< thread blocks of a copy kernel
  bool isolated_ipc = false;           ///< engines share no IPC namespace
  double ready_pinned_ratio = 0.1;     ///< share of L1 that must be pinned to be ready

  // L1
  double l1_size_gb = 1.0;  ///< GiB
  std::uint64_t l1_align_bytes = 4096;
  bool l1_lock_memory = false;    ///< keep L1's pages out of swap
  bool l1_use_hugepages = false;  ///< 2 MiB pages, reserved by the administrator
  bool l1_use_lazy = true;        ///< false: serve only when all of L1 has been touched
  double l1_init_size_gb = 20.0;  ///< GiB that are touched and pinned at full speed
  std::chrono::seconds l1_write_ttl{600};
  std::chrono::seconds l1_read_ttl{300};
  std::string eviction_policy = "LFU";
  double eviction_trigger_watermark = 1;
  double eviction_ratio = 0.2;
  std::uint32_t window_checkpoint_chunks = 1;
  std::map<std::string, TenantQuota> tenant_quotas;  ///< by cache_salt; needs IsolatedLRU

  // Admin HTTP
  bool http = true;
  std::string http_host = "127.0.0.1";
  std::uint16_t http_port = 8080;  ///< 0: any free port, which the log names
  bool http_tcp = true;            ///< false when only --http-socket was asked for
  std::string http_socket;         ///< unix socket path, mode 0660; empty: none
  std::string http_token_file;     ///< its first line is the bearer token; empty: none is asked for
  std::uint32_t http_max_connections = 256;
  std::chrono::milliseconds http_timeout{10'000};  ///< for a request to arrive, an answer to leave

  // Observability
  std::string instance_id;          ///< a random UUID4 by the time run_server() sees it
  std::string log_level = "info";   ///< debug, info, warn, error
  std::string log_file;             ///< where to append the log; empty: stderr
  std::string log_format = "text";  ///< text, json
  bool metrics = true;              ///< false: there is no /metrics
  /// Share of chunks that the histograms of how long they stay are made of.
  double metrics_sample_rate = 0.01;
  bool request_logging = true;  ///< false: failed requests are counted, not logged
  bool extra_logging = false;   ///< one line of throughput and memory each extra_logging_interval
  std::chrono::milliseconds extra_logging_interval{10'000};

  friend bool operator==(const ServerConfig&, const ServerConfig&) = default;
};

}  // namespace lmcache
