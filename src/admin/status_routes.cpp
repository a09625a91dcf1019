// /status, field by field what the reference tells. Where it names something this server does not
// have (L2, peers, KV events) the value is that of a reference server without it.
#include "admin/controller_reports.hpp"
#include "admin/health.hpp"
#include "admin/layout_report.hpp"
#include "admin/routes.hpp"

#include <chrono>

namespace lmcache::admin {
namespace {

double seconds(std::chrono::milliseconds time) {
  return std::chrono::duration<double>(time).count();
}

Json l1_report(const ServerConfig& config, const CacheStats& stats, std::uint64_t pinned) {
  return {{"is_healthy", stats.used_bytes + stats.free_bytes == stats.total_bytes},
          {"total_object_count", stats.objects + stats.reserved_objects},
          {"write_locked_count", stats.reserved_objects},
          {"read_locked_count", pinned},
          {"temporary_count", 0},
          {"staging_object_count", stats.reserved_objects},
          {"staging_bytes", stats.reserved_bytes},
          {"memory_used_bytes", stats.used_bytes},
          {"memory_total_bytes", stats.total_bytes},
          {"memory_configured_bytes", stats.total_bytes},
          {"capacity_bytes_by_backend", {{"dram", stats.total_bytes}}},
          {"memory_usage_ratio",
           stats.total_bytes == 0
               ? 0.0
               : static_cast<double>(stats.used_bytes) / static_cast<double>(stats.total_bytes)},
          {"write_ttl_seconds", config.l1_write_ttl.count()},
          {"read_ttl_seconds", config.l1_read_ttl.count()}};
}

Json storage_report(const ServerConfig& config, const Cache& cache) {
  const CacheStats stats = cache.stats();
  const Json l1 = l1_report(config, stats, cache.pinned_objects());
  const Json eviction = eviction_report(config, obs::vitals());
  const Json store = store_report();
  return {{"is_healthy", l1["is_healthy"].get<bool>() && eviction["is_healthy"].get<bool>()},
          {"l1_managers", {{"_default", l1}}},
          {"store_controllers", {{"_default", store}}},
          {"l1_eviction_controllers", {{"_default", eviction}}},
          {"prefetch_controller", prefetch_report()},
          {"l2_eviction_controller",
           {{"is_healthy", true}, {"thread_alive", true}, {"adapters", Json::array()}}},
          {"l2_adapters", Json::array()},
          {"num_l2_adapters", 0},
          {"l1_usage", {stats.used_bytes, stats.total_bytes}},
          {"l1_capacity_bytes_by_backend", {{"dram", stats.total_bytes}}},
          {"l1_manager", l1},
          {"store_controller", store},
          {"l1_eviction_controller", eviction},
          // The reference's own describe command looks for it under this name.
          {"eviction_controller", eviction}};
}

Json workers_report(const std::vector<engine::InstancePtr>& workers) {
  Json out = Json::object();
  for (const engine::InstancePtr& worker : workers)
    out[std::to_string(worker->id)] = {{"model_name", worker->model},
                                       {"world_size", worker->world_size},
                                       {"stored_bytes", worker->moved.stored_bytes.value()},
                                       {"retrieved_bytes", worker->moved.retrieved_bytes.value()},
                                       {"kv_cache_layout", layout_report(worker->geometry)}};
  return out;
}

Json connections_report(const net::NetStats& stats) {
  return {{"open", stats.connections_open},
          {"paused", stats.connections_paused},
          {"accepted", stats.connections_accepted},
          {"refused", stats.connections_refused},
          {"unsent_bytes", stats.unsent_bytes}};
}

Json gpus_report(const std::vector<gpu::DeviceStatus>& devices) {
  Json out = Json::array();
  for (const gpu::DeviceStatus& device : devices)
    out.push_back({{"uuid", device.uuid},
                   {"is_healthy", device.error.empty()},
                   {"error", device.error},
                   {"workers", device.workers},
                   {"staging_bytes", device.staging_bytes},
                   {"queued_transfers", device.queued_transfers},
                   {"stored_bytes", device.stored_bytes},
                   {"retrieved_bytes", device.retrieved_bytes},
                   {"store_busy_seconds", device.store_busy_seconds},
                   {"retrieve_busy_seconds", device.retrieve_busy_seconds},
                   {"direct_transfers", device.direct_transfers},
                   {"failed_transfers", device.failed_transfers}});
  return out;
}

Json pinning_report(const gpu::PinnedPoolStatus& pool) {
  return {{"total_bytes", pool.total_bytes},
          {"touched_bytes", pool.touched_bytes},
          {"pinned_bytes", pool.pinned_bytes},
          {"ready_bytes", pool.ready_bytes},
          {"failed_parts", pool.failed_parts},
          {"seconds_left", pool.seconds_left},
          {"error", pool.error}};
}

Response status(const Context& context) {
  const ServerConfig& config = context.config;
  const auto workers = context.engine.instances().all();
  Json storage = storage_report(config, context.engine.cache());
  const bool well = !illness(context) && storage["is_healthy"].get<bool>();
  Json ids = Json::array();
  for (const engine::InstancePtr& worker : workers) ids.push_back(worker->id);
  return json({{"is_healthy", well},
               {"engine_type", "MPCacheServer"},
               {"chunk_size", config.chunk_size},
               {"hash_algorithm", "blake3"},
               {"active_sessions", context.engine.lookups().size()},
               {"storage_manager", std::move(storage)},
               {"active_prefetch_jobs", 0},  // a lookup's result is there when its turn is over
               {"active_p2p_lookup_jobs", 0},
               {"p2p_enabled", false},
               {"p2p_state", "unregistered"},
               {"p2p_peer_count", 0},
               {"p2p_peers", Json::array()},
               {"worker_liveness",
                {{"enabled", config.worker_reap_timeout.count() > 0},
                 {"reap_timeout_seconds", seconds(config.worker_reap_timeout)},
                 {"registration_grace_seconds", seconds(config.worker_registration_grace)},
                 {"tracked_instances", workers.size()}}},
               {"kv_events",
                {{"enabled", false},
                 {"incarnation", 0},
                 {"log_depth", 0},
                 {"log_capacity", 0},
                 {"next_seq", 0},
                 {"lost_markers", 0},
                 {"unbound_stores", 0},
                 {"subscribers", 0}}},
               {"registered_gpu_ids", std::move(ids)},
               {"cache_context_meta", workers_report(workers)},
               {"gpus", gpus_report(context.engine.devices().status())},
               {"l1_pinning", pinning_report(context.engine.pinned_pool().status())},
               {"connections", connections_report(context.server.stats())}});
}

}  // namespace

void add_status_routes(Router& router, const Context& context) {
  router.add({.verb = Verb::get,
              .pattern = "/status",
              .summary = "State of the cache, the workers and the connections",
              .handler = [&context](const Request&) { return status(context); },
              .lane = Lane::kSlow});
}

}  // namespace lmcache::admin
