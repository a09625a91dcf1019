// /metrics. Everything here is read from atomics and from what housekeeping published: a scrape
// takes no lock that serving needs.
#include "admin/metrics_catalog.hpp"
#include "admin/process_stats.hpp"
#include "admin/routes.hpp"
#include "obs/clean_text.hpp"
#include "obs/counters.hpp"
#include "obs/pulse.hpp"
#include "wire/operations.hpp"

#include <lmcache/version.hpp>

#include <algorithm>
#include <chrono>
#include <functional>
#include <map>

namespace lmcache::admin {
namespace {

constexpr Label kTag{"l1_tag", "_default"};
/// As those of obs::metrics(), for what housekeeping lists.
constexpr std::size_t kSeriesMax = 64, kLabelBytes = 128;

void tenants(Exposition& out, const std::vector<TenantUsage>& limited) {
  struct Sum {
    std::uint64_t used = 0, limit = 0;
  };
  std::map<std::string, Sum> rows;  // by cache_salt as it is shown, some of which may look the same
  for (const TenantUsage& tenant : limited) {
    std::string salt = obs::clean_text(tenant.salt, kLabelBytes);
    if (rows.size() >= kSeriesMax && !rows.contains(salt)) salt = "other";
    rows[salt].used += tenant.used_bytes;
    rows[salt].limit += tenant.quota.max_bytes;
  }
  out.family(metric("lmcache_mp_l1_tenant_usage_bytes"));
  for (const auto& [salt, sum] : rows) out.sample({{"cache_salt", salt}}, sum.used);
  out.family(metric("lmcache_mp_l1_tenant_limit_bytes"));
  for (const auto& [salt, sum] : rows) out.sample({{"cache_salt", salt}}, sum.limit);
}

void l1(Exposition& out, const Context& context, const CacheStats& stats) {
  const auto of_l1 = [&](const MetricInfo& info, auto value) {
    out.family(info);
    out.sample({{"backend", "dram"}, kTag}, value);
  };
  of_l1(metric("lmcache_mp_l1_memory_usage_bytes"), stats.used_bytes);
  const double total = static_cast<double>(std::max<std::uint64_t>(stats.total_bytes, 1));
  of_l1(metric("lmcache_mp_l1_usage_ratio"), static_cast<double>(stats.used_bytes) / total);
  of_l1(metric("lmcache_mp_l1_memory_total_bytes"), stats.total_bytes);
  of_l1(metric("lmcache_mp_l1_staging_bytes"), stats.reserved_bytes);
  out.one(metric("lmcache_mp_l1_largest_free_bytes"), stats.largest_free_bytes);
  out.one(metric("lmcache_mp_l1_objects"), stats.objects);
  out.one(metric("lmcache_mp_l1_chunks"), stats.chunks);
  out.one(metric("lmcache_mp_l1_pinned_chunks"), stats.pinned_chunks);
  out.family(metric("lmcache_mp_l1_model_bytes"));
  obs::metrics().models.for_each([&](const auto& labels, const obs::ModelUsage& row) {
    out.sample({{"model_name", labels[0]}, {"state", "resident"}}, row.resident_bytes.load());
    out.sample({{"model_name", labels[0]}, {"state", "pinned"}}, row.pinned_bytes.load());
  });
  tenants(out, context.engine.listings()->limited_tenants);
  const gpu::PinnedPoolStatus pool = context.engine.pinned_pool().status();
  out.one(metric("lmcache_mp_l1_page_locked_bytes"), pool.pinned_bytes);
  out.one(metric("lmcache_mp_l1_page_lock_failed_parts"), pool.failed_parts);
  const auto by_salt = [&](const MetricInfo& info, obs::Counter obs::L1Counts::*counter) {
    out.family(info);
    obs::metrics().l1.for_each([&](const auto& labels, const obs::L1Counts& row) {
      const std::uint64_t value = (row.*counter).value();
      if (labels[0].empty()) {
        out.sample({kTag}, value);  // as the reference has it: no label for the empty salt
      } else {
        out.sample({kTag, {"cache_salt", labels[0]}}, value);
      }
    });
  };
  by_salt(metric("lmcache_mp_l1_write_chunks_total"), &obs::L1Counts::written_objects);
  by_salt(metric("lmcache_mp_l1_read_chunks_total"), &obs::L1Counts::read_objects);
  by_salt(metric("lmcache_mp_l1_evicted_chunks_total"), &obs::L1Counts::evicted_objects);
  out.family(metric("lmcache_mp_l1_evicted_bytes_total"));
  for (const auto& [reason, name] : {std::pair(EvictionReason::kAllocation, "allocation"),
                                     std::pair(EvictionReason::kQuota, "quota"),
                                     std::pair(EvictionReason::kWatermark, "watermark")})
    out.sample({{"policy", context.config.eviction_policy}, {"reason", name}},
               stats.evicted_bytes_for[static_cast<std::size_t>(reason)]);
  out.one(metric("lmcache_mp_l1_window_objects"), stats.window_objects);
  out.one(metric("lmcache_mp_l1_window_objects_lost_total"), stats.thinned_objects);
  out.one(metric("lmcache_mp_lookup_window_lost_chunks_total"), stats.window_lost_chunks);
  out.one(metric("lmcache_mp_l1_eviction_loop_ticks_total"), obs::metrics().eviction_ticks.value());
  out.one(metric("lmcache_mp_l1_eviction_loop_triggered_total"),
          obs::metrics().eviction_triggered.value());
  out.family(metric("lmcache_mp_l1_allocation_failure_chunks_total"));
  obs::metrics().allocation_failures.for_each([&](const auto& labels, const auto& row) {
    out.sample({{"during", "l1_store"}, {"model_name", labels[0]}}, row.objects.value());
  });
  out.family(metric("lmcache_mp_l1_read_failure_chunks_total"));
  obs::metrics().read_failures.for_each([&](const auto& labels, const auto& row) {
    out.sample({{"during", "l1_retrieve"}, {"reason", "not_found"}, {"model_name", labels[0]}},
               row.objects.value());
  });
}

void lives(Exposition& out) {
  const obs::Lives& counted = obs::metrics().lives;
  const auto one = [&](const MetricInfo& info, const auto& histogram) {
    out.family(info);
    out.histogram({kTag}, histogram);
  };
  one(metric("lmcache_mp_l1_chunk_lifetime_seconds"), counted.lifetime);
  one(metric("lmcache_mp_l1_chunk_idle_before_evict_seconds"), counted.idle_before_evict);
  one(metric("lmcache_mp_l1_chunk_reuse_gap_seconds"), counted.reuse_gap);
  one(metric("lmcache_mp_l1_chunk_evict_reuse_gap_seconds"), counted.evict_reuse_gap);
  const auto by_salt = [&](const MetricInfo& info, auto histogram) {
    out.family(info);
    counted.reuse.for_each([&](const auto& labels, const obs::Lives::Reuse& row) {
      out.histogram({{"cache_salt", labels[0]}}, row.*histogram);
    });
  };
  by_salt(metric("lmcache_mp_real_reuse_gap_seconds"), &obs::Lives::Reuse::seconds);
  by_salt(metric("lmcache_mp_real_reuse_gap_objects"), &obs::Lives::Reuse::chunks);
}

void transfers(Exposition& out, const copy::CpuCopier::Stats& copies) {
  const obs::Metrics& counted = obs::metrics();
  const auto of_device = [&](const MetricInfo& info, obs::Counter obs::TransferCounts::*counter) {
    out.family(info);
    out.sample({{"device", "cpu"}}, (counted.cpu.*counter).value());
    out.sample({{"device", "cuda"}}, (counted.cuda.*counter).value());
  };
  of_device(metric("lmcache_mp_num_submitted_stores_total"),
            &obs::TransferCounts::submitted_stores);
  of_device(metric("lmcache_mp_num_finished_stores_total"), &obs::TransferCounts::finished_stores);
  of_device(metric("lmcache_mp_num_submitted_retrieves_total"),
            &obs::TransferCounts::submitted_retrieves);
  of_device(metric("lmcache_mp_num_finished_retrieves_total"),
            &obs::TransferCounts::finished_retrieves);
  const auto rates = [&](const MetricInfo& info,
                         obs::GigabytesHistogram obs::TransferRates::*histogram) {
    out.family(info);
    counted.rates.for_each([&](const auto& labels, const obs::TransferRates& row) {
      out.histogram({{"device", labels[0]}, {"engine_id", labels[1]}, {"model_name", labels[2]}},
                    row.*histogram);
    });
  };
  rates(metric("lmcache_mp_l0_l1_store_throughput_GB_per_second"), &obs::TransferRates::store);
  rates(metric("lmcache_mp_l0_l1_load_throughput_GB_per_second"), &obs::TransferRates::load);
  out.family(metric("lmcache_mp_num_chunks_loaded_total"));
  counted.loads.for_each([&](const auto& labels, const obs::LoadCounts& row) {
    out.sample({{"model_name", labels[0]}, {"cache_salt", labels[1]}, {"worker_id", labels[2]}},
               row.chunks.value());
  });
  out.family(metric("lmcache_mp_copied_bytes_total"));
  out.sample({{"direction", "store"}}, copies.stored_bytes);
  out.sample({{"direction", "retrieve"}}, copies.retrieved_bytes);
  out.one(metric("lmcache_mp_copy_jobs"), copies.queued_jobs);
  out.one(metric("lmcache_mp_copy_failures_total"), copies.failed_jobs);
}

void gpus(Exposition& out, const std::vector<gpu::DeviceStatus>& devices) {
  const auto of_gpu = [&](const MetricInfo& info, auto value) {
    out.family(info);
    for (const gpu::DeviceStatus& device : devices)
      out.sample({{"gpu", device.uuid}}, std::uint64_t{std::invoke(value, device)});
  };
  const auto both_ways = [&](const MetricInfo& info, auto stored, auto retrieved) {
    out.family(info);
    for (const gpu::DeviceStatus& device : devices) {
      out.sample({{"gpu", device.uuid}, {"direction", "store"}}, device.*stored);
      out.sample({{"gpu", device.uuid}, {"direction", "retrieve"}}, device.*retrieved);
    }
  };
  using Status = gpu::DeviceStatus;
  of_gpu(metric("lmcache_mp_gpu_workers"), &Status::workers);
  of_gpu(metric("lmcache_mp_gpu_lost"), [](const Status& device) { return !device.error.empty(); });
  of_gpu(metric("lmcache_mp_gpu_staging_bytes"), &Status::staging_bytes);
  of_gpu(metric("lmcache_mp_gpu_queued_transfers"), &Status::queued_transfers);
  of_gpu(metric("lmcache_mp_gpu_failed_transfers_total"), &Status::failed_transfers);
  of_gpu(metric("lmcache_mp_gpu_direct_transfers_total"), &Status::direct_transfers);
  both_ways(metric("lmcache_mp_gpu_copied_bytes_total"), &Status::stored_bytes,
            &Status::retrieved_bytes);
  both_ways(metric("lmcache_mp_gpu_copy_busy_seconds_total"), &Status::store_busy_seconds,
            &Status::retrieve_busy_seconds);
}

void lookups(Exposition& out, const engine::Figures& figures) {
  const obs::Metrics& counted = obs::metrics();
  const auto by_model = [&](const MetricInfo& info, obs::Counter obs::LookupCounts::*counter) {
    out.family(info);
    counted.lookups.for_each([&](const auto& labels, const obs::LookupCounts& row) {
      out.sample({{"model_name", labels[0]}, {"cache_salt", labels[1]}}, (row.*counter).value());
    });
  };
  by_model(metric("lmcache_mp_lookups_requests_total"), &obs::LookupCounts::lookups);
  by_model(metric("lmcache_mp_lookup_requested_tokens_total"),
           &obs::LookupCounts::requested_tokens);
  by_model(metric("lmcache_mp_lookup_hit_tokens_total"), &obs::LookupCounts::hit_tokens);
  by_model(metric("lmcache_mp_lookup_hit_l1_tokens_total"), &obs::LookupCounts::hit_tokens);
  by_model(metric("lmcache_mp_lookup_hit_l1_keys_total"), &obs::LookupCounts::hit_objects);
  out.one(metric("lmcache_mp_active_prefetch_jobs"), std::uint64_t{0});
  out.one(metric("lmcache_mp_sessions"), figures.sessions);
  out.one(metric("lmcache_mp_leases"), figures.leases);
  out.one(metric("lmcache_mp_leases_expired_total"), counted.leases_expired.value());
  out.one(metric("lmcache_mp_leases_freed_by_death_total"), counted.leases_freed_by_death.value());
}

/// Calls visit(name, counts) for each operation that was asked for.
template <class Visit>
void for_each_operation(Visit visit) {
  const auto& counts = obs::metrics().operations;
  if (counts[0].answered.value() > 0) visit(std::string_view("unknown"), counts[0]);
  for (const wire::Operation& operation : wire::all_operations()) {
    const auto& row = counts[static_cast<std::size_t>(operation.op)];
    if (row.answered.value() > 0) visit(operation.name, row);
  }
}

void requests(Exposition& out) {
  out.family(metric("lmcache_mp_requests_total"));
  for_each_operation([&](std::string_view name, const obs::OperationCounts& row) {
    out.sample({{"operation", name}}, row.answered.value());
  });
  out.family(metric("lmcache_mp_request_failures_total"));
  for (const obs::FailureCount& failure : obs::failure_counts())
    out.sample({{"operation", failure.operation}, {"cause", to_string(failure.cause)}},
               failure.count);
  const auto times = [&](const MetricInfo& info,
                         obs::SecondsHistogram obs::OperationCounts::*histogram) {
    out.family(info);
    for_each_operation([&](std::string_view name, const obs::OperationCounts& row) {
      out.histogram({{"operation", name}}, row.*histogram);
    });
  };
  times(metric("lmcache_mp_request_queue_seconds"), &obs::OperationCounts::queue);
  times(metric("lmcache_mp_request_work_seconds"), &obs::OperationCounts::work);
  times(metric("lmcache_mp_request_reply_seconds"), &obs::OperationCounts::reply);
}

void connections(Exposition& out, const net::NetStats& stats) {
  out.one(metric("lmcache_mp_connections"), stats.connections_open);
  out.one(metric("lmcache_mp_connections_paused"), stats.connections_paused);
  out.one(metric("lmcache_mp_connections_accepted_total"), stats.connections_accepted);
  out.one(metric("lmcache_mp_connections_refused_total"), stats.connections_refused);
  out.one(metric("lmcache_mp_accept_errors_total"), stats.accept_errors);
  out.one(metric("lmcache_mp_handshake_timeouts_total"), stats.handshake_timeouts);
  out.one(metric("lmcache_mp_heartbeat_timeouts_total"), stats.heartbeat_timeouts);
  out.family(metric("lmcache_mp_protocol_errors_total"));
  for (std::size_t i = 0; i < stats.protocol_errors.size(); ++i)
    out.sample({{"kind", to_string(static_cast<wire::ZmtpError>(i))}}, stats.protocol_errors[i]);
  out.one(metric("lmcache_mp_messages_received_total"), stats.messages_in);
  out.one(metric("lmcache_mp_received_bytes_total"), stats.bytes_in);
  out.one(metric("lmcache_mp_sent_bytes_total"), stats.bytes_out);
  out.one(metric("lmcache_mp_unsent_bytes"), stats.unsent_bytes);
}

void process(Exposition& out, const Context& context, const engine::Figures& figures) {
  out.one(metric("lmcache_mp_workers"), figures.workers);
  out.one(metric("lmcache_mp_token_chains"), figures.chains);
  out.one(metric("lmcache_mp_token_chain_bytes"), figures.chain_bytes);
  out.family(metric("lmcache_mp_loop_silence_seconds"));
  for (const obs::Vital& vital : obs::vitals())
    out.sample({{"loop", vital.name}}, std::chrono::duration<double>(vital.silence).count());
  out.family(metric("lmcache_mp_build_info"));
  out.sample(
      {{"version", kVersion}, {"commit", kCommit}, {"instance_id", context.config.instance_id}},
      std::uint64_t{1});
  const ProcessStats stats = process_stats();
  out.one(metric("process_cpu_seconds_total"), stats.cpu_seconds);
  out.one(metric("process_resident_memory_bytes"), stats.resident_bytes);
  out.one(metric("process_virtual_memory_bytes"), stats.virtual_bytes);
  out.one(metric("process_open_fds"), stats.open_fds);
  out.one(metric("process_max_fds"), stats.max_fds);
  out.one(metric("process_start_time_seconds"), stats.start_time);
}

Response metrics_page(const Context& context, Format format) {
  const engine::Figures figures = context.engine.figures();
  Exposition out(format);
  l1(out, context, figures.cache);
  lives(out);
  transfers(out, figures.copies);
  gpus(out, context.engine.listings()->gpus);
  lookups(out, figures);
  requests(out);
  connections(out, context.server.stats());
  process(out, context, figures);
  return {200, std::string(media_type(format)), std::move(out).take(), {{"Vary", "Accept"}}};
}

}  // namespace

void add_metrics_routes(Router& router, const Context& context) {
  if (!context.config.metrics) return;
  router.add({Verb::get, "/metrics",
              "Metrics in the Prometheus text format, or in OpenMetrics where Accept names it",
              [&context](const Request& request) {
                return metrics_page(context, format_for(request.accept));
              }});
}

}  // namespace lmcache::admin
