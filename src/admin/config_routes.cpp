// /config: what the server was started with, under the reference's names. What the reference can be
// told and this server cannot is left out; docs/SERVER_FLAGS.md says why.
#include "admin/routes.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>

namespace lmcache::admin {
namespace {

template <class Duration>
double seconds(Duration time) {
  return std::chrono::duration<double>(time).count();
}

std::uint64_t bytes(double gib) {
  return static_cast<std::uint64_t>(std::llround(gib * 1024 * 1024 * 1024));
}

Json requests(const ServerConfig& c) {
  return {{"transport", "zmq"},
          {"host", c.host},
          {"port", c.port},
          {"tcp", c.tcp},
          {"request_socket", c.request_socket},
          {"io_threads", c.io_threads},
          {"chunk_size", c.chunk_size},
          {"max_workers", c.max_workers},
          {"max_gpu_workers", c.max_gpu_workers},
          {"max_cpu_workers", c.max_cpu_workers},
          {"hash_algorithm", "blake3"},
          {"engine_type", "default"},
          {"separate_object_groups", c.separate_object_groups},
          {"supported_transfer_mode", "lmcache_driven"},
          {"isolated_ipc", c.isolated_ipc},
          {"instance_id", c.instance_id},
          {"worker_reap_timeout_seconds", seconds(c.worker_reap_timeout)},
          {"worker_registration_grace_seconds", seconds(c.worker_registration_grace)},
          {"session_ttl_seconds", seconds(c.session_ttl)},
          {"null_block_id", c.null_block_id},
          {"gpu_staging_mb", c.gpu_staging_mb},
          {"gpu_copy_blocks", c.gpu_copy_blocks},
          {"ready_pinned_ratio", c.ready_pinned_ratio}};
}

Json storage(const ServerConfig& c) {
  const Json eviction{{"eviction_policy", c.eviction_policy},
                      {"trigger_watermark", c.eviction_trigger_watermark},
                      {"eviction_ratio", c.eviction_ratio}};
  const Json l1{{"memory_config",
                 {{"size_in_bytes", bytes(c.l1_size_gb)},
                  {"use_lazy", c.l1_use_lazy},
                  {"init_size_in_bytes", bytes(std::min(c.l1_init_size_gb, c.l1_size_gb))},
                  {"align_bytes", c.l1_align_bytes},
                  {"use_hugepages", c.l1_use_hugepages},
                  {"lock_memory", c.l1_lock_memory}}},
                {"write_ttl_seconds", c.l1_write_ttl.count()},
                {"read_ttl_seconds", c.l1_read_ttl.count()},
                {"tag", "_default"},
                {"eviction", eviction}};
  return {{"l1_manager_config", l1},
          {"eviction_config", eviction},
          {"window_checkpoint_chunks", c.window_checkpoint_chunks},
          {"tenant_quotas", c.tenant_quotas.size()},  // how many: a cache_salt may be a secret
          {"l2_adapter_config", {{"adapters", Json::array()}}},
          {"l1_manager_configs", Json::array({l1})}};
}

Json observability(const ServerConfig& c) {
  return {{"metrics_enabled", c.metrics},
          {"metrics_sample_rate", c.metrics_sample_rate},
          {"logging_enabled", c.request_logging},
          {"log_level", c.log_level},
          {"log_file", c.log_file},
          {"log_format", c.log_format},
          {"extra_logging_enabled", c.extra_logging},
          {"extra_logging_interval", seconds(c.extra_logging_interval)},
          {"service_instance_id", c.instance_id}};
}

Json limits(const ServerConfig& c) {
  return {{"max_connections", c.max_connections},
          {"max_message_bytes", c.max_message_bytes},
          {"max_frames", c.max_frames},
          {"max_unsent_bytes", c.max_unsent_bytes},
          {"max_inflight", c.max_inflight},
          {"handshake_timeout_seconds", seconds(c.handshake_timeout)},
          {"heartbeat_interval_seconds", seconds(c.heartbeat_interval)},
          {"heartbeat_timeout_seconds", seconds(c.heartbeat_timeout)},
          {"shutdown_timeout_seconds", seconds(c.shutdown_timeout)}};
}

Json http_settings(const ServerConfig& c) {
  return {{"http_host", c.http_host},
          {"http_port", c.http_port},
          {"http_tcp", c.http_tcp},
          {"http_socket", c.http_socket},
          {"http_token_required", !c.http_token_file.empty()},
          {"http_max_connections", c.http_max_connections},
          {"http_timeout_seconds", seconds(c.http_timeout)}};
}

}  // namespace

void add_config_routes(Router& router, const Context& context) {
  const ServerConfig& c = context.config;
  const Json all{{"mp", requests(c)},
                 {"storage_manager", storage(c)},
                 {"observability", observability(c)},
                 {"http", http_settings(c)},
                 {"limits", limits(c)}};
  router.add({Verb::get, "/config", "What the server was started with",
              [all, &server = context.server](const Request&) {
                Json now = all;
                // The one that was taken, where any was asked for.
                if (server.port() != 0) now["mp"]["port"] = server.port();
                return json(now, 200, 2);
              }});
  router.add({Verb::get, "/config/adapters", "Storage beyond L1; there is none yet",
              [answer = json({{"adapters", Json::array()}})](const Request&) { return answer; }});
}

}  // namespace lmcache::admin
