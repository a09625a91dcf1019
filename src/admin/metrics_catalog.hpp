// Every metric there is, in the order of the page. docs/METRICS.md shows it to users; a test keeps
// the two equal.
#pragma once

#include "admin/exposition.hpp"

#include <array>
#include <string>
#include <string_view>

namespace lmcache::admin {

namespace catalog {

consteval MetricInfo gauge(std::string_view name, std::string_view unit, std::string_view labels,
                           std::string_view help) {
  return {name, MetricKind::kGauge, unit, labels, help};
}
consteval MetricInfo counter(std::string_view name, std::string_view unit, std::string_view labels,
                             std::string_view help) {
  return {name, MetricKind::kCounter, unit, labels, help};
}
consteval MetricInfo histogram(std::string_view name, std::string_view unit,
                               std::string_view labels, std::string_view help) {
  return {name, MetricKind::kHistogram, unit, labels, help};
}
consteval MetricInfo reference(MetricInfo info) {
  info.of_reference = true;
  return info;
}

consteval MetricInfo openmetrics_only(MetricInfo info) {
  info.openmetrics_only = true;
  return info;
}

inline constexpr std::array kAll{
    reference(gauge("lmcache_mp_l1_memory_usage_bytes", "bytes", "backend, l1_tag",
                    "Bytes in use in L1")),
    reference(gauge("lmcache_mp_l1_usage_ratio", "ratio", "backend, l1_tag",
                    "Share of L1 in use, 0 to 1")),
    gauge("lmcache_mp_l1_memory_total_bytes", "bytes", "backend, l1_tag", "Size of L1"),
    reference(gauge("lmcache_mp_l1_staging_bytes", "bytes", "backend, l1_tag",
                    "Bytes reserved by stores that have not ended")),
    gauge("lmcache_mp_l1_largest_free_bytes", "bytes", "",
          "Largest free extent; far below the free bytes: fragmentation"),
    gauge("lmcache_mp_l1_objects", "objects", "", "Resident objects"),
    gauge("lmcache_mp_l1_chunks", "chunks", "", "Resident chunks"),
    gauge("lmcache_mp_l1_pinned_chunks", "chunks", "",
          "Chunks that leases, reads and stores keep from eviction"),
    gauge("lmcache_mp_l1_model_bytes", "bytes", "model_name, state",
          "Bytes of a model's resident objects; state pinned: of those, what may not be "
          "evicted. Counted every two seconds or less often"),
    gauge("lmcache_mp_l1_tenant_usage_bytes", "bytes", "cache_salt",
          "Bytes that a cache_salt with a limit uses"),
    gauge("lmcache_mp_l1_tenant_limit_bytes", "bytes", "cache_salt", "Its limit"),
    gauge("lmcache_mp_l1_page_locked_bytes", "bytes", "",
          "Bytes of L1 that are registered with the driver for DMA; 0 while no GPU is in use"),
    gauge("lmcache_mp_l1_page_lock_failed_parts", "parts", "",
          "Parts of L1 that could not be; copies to and from them are slower"),
    reference(counter("lmcache_mp_l1_write_chunks_total", "objects", "l1_tag, cache_salt",
                      "Objects written to L1")),
    reference(counter("lmcache_mp_l1_read_chunks_total", "objects", "l1_tag, cache_salt",
                      "Objects read from L1")),
    reference(counter("lmcache_mp_l1_evicted_chunks_total", "objects", "l1_tag, cache_salt",
                      "Objects evicted from L1")),
    counter("lmcache_mp_l1_evicted_bytes_total", "bytes", "policy, reason",
            "Bytes evicted; reason allocation: because a store needed room, quota: "
            "because its tenant was at its limit, watermark: in the background"),
    reference(histogram("lmcache_mp_l1_chunk_lifetime_seconds", "seconds", "l1_tag",
                        "From an object's last store to its end by eviction, clear or deletion; of "
                        "the chunks that --metrics-sample-rate samples, as the next five")),
    reference(histogram("lmcache_mp_l1_chunk_idle_before_evict_seconds", "seconds", "l1_tag",
                        "From its last use to that end")),
    reference(histogram("lmcache_mp_l1_chunk_reuse_gap_seconds", "seconds", "l1_tag",
                        "From its last use to its next, while it is there")),
    reference(histogram("lmcache_mp_l1_chunk_evict_reuse_gap_seconds", "seconds", "l1_tag",
                        "From its end to its being stored again; 300 if it is not by then")),
    reference(histogram("lmcache_mp_real_reuse_gap_seconds", "seconds", "cache_salt",
                        "From a rank's last store or retrieve of a chunk to its next retrieve, "
                        "whatever became of it between")),
    reference(histogram("lmcache_mp_real_reuse_gap_objects", "chunks", "cache_salt",
                        "Stores and retrieves of chunks of that cache_salt meanwhile")),
    gauge("lmcache_mp_l1_window_objects", "objects", "",
          "Resident windowed objects: where a hit may end, kept"),
    counter("lmcache_mp_l1_window_objects_lost_total", "objects", "",
            "Windowed objects evicted without their chunk"),
    counter("lmcache_mp_lookup_window_lost_chunks_total", "chunks", "",
            "Chunks that lookups found and could not serve for want of windowed objects"),
    reference(counter("lmcache_mp_l1_eviction_loop_ticks_total", "rounds", "",
                      "Rounds of background eviction, every second")),
    reference(counter("lmcache_mp_l1_eviction_loop_triggered_total", "rounds", "",
                      "Of those, rounds that evicted something")),
    reference(counter("lmcache_mp_l1_allocation_failure_chunks_total", "objects",
                      "during, model_name",
                      "Objects of stores answered false because nothing could make room; during: "
                      "l1_store")),
    reference(counter("lmcache_mp_l1_read_failure_chunks_total", "objects",
                      "during, reason, model_name",
                      "Objects of retrieves that were not leased, or no longer there; during: "
                      "l1_retrieve, reason: not_found. Near zero while all is well")),
    reference(counter("lmcache_mp_num_submitted_stores_total", "transfers", "device",
                      "Stores handed to the copy threads, or to a GPU (device: cuda)")),
    reference(counter("lmcache_mp_num_finished_stores_total", "transfers", "device",
                      "Stores whose copy has ended")),
    reference(counter("lmcache_mp_num_submitted_retrieves_total", "transfers", "device",
                      "Retrieves handed to the copy threads, or to a GPU (device: cuda)")),
    reference(counter("lmcache_mp_num_finished_retrieves_total", "transfers", "device",
                      "Retrieves whose copy has ended")),
    openmetrics_only(reference(histogram(
        "lmcache_mp_l0_l1_store_throughput_GB_per_second", "GB/s", "device, engine_id, model_name",
        "Bytes of a store by the time from submission to its end"))),
    openmetrics_only(reference(histogram(
        "lmcache_mp_l0_l1_load_throughput_GB_per_second", "GB/s", "device, engine_id, model_name",
        "Bytes of a retrieve by the time from submission to its end"))),
    reference(counter("lmcache_mp_num_chunks_loaded_total", "chunks",
                      "model_name, cache_salt, worker_id", "Chunks copied to a worker")),
    counter("lmcache_mp_copied_bytes_total", "bytes", "direction",
            "Bytes the copy threads have moved"),
    gauge("lmcache_mp_copy_jobs", "transfers", "", "Transfers submitted and not ended"),
    counter("lmcache_mp_copy_failures_total", "transfers", "",
            "Transfers that ended with an error"),
    gauge("lmcache_mp_gpu_workers", "workers", "gpu", "Engines that use the GPU"),
    gauge("lmcache_mp_gpu_lost", "", "gpu", "1: CUDA has given it up, its engines' requests fail"),
    gauge("lmcache_mp_gpu_staging_bytes", "bytes", "gpu", "Staging buffers on the GPU"),
    gauge("lmcache_mp_gpu_queued_transfers", "transfers", "gpu",
          "Transfers submitted and not ended"),
    counter("lmcache_mp_gpu_failed_transfers_total", "transfers", "gpu",
            "Transfers that ended with an error"),
    counter("lmcache_mp_gpu_direct_transfers_total", "transfers", "gpu",
            "Transfers moved by the copy engines alone"),
    counter("lmcache_mp_gpu_copied_bytes_total", "bytes", "gpu, direction",
            "Bytes moved between the GPU and L1"),
    counter("lmcache_mp_gpu_copy_busy_seconds_total", "seconds", "gpu, direction",
            "Time in which copies were under way; its rate is the link's share of the time"),
    reference(counter("lmcache_mp_lookups_requests_total", "requests", "model_name, cache_salt",
                      "Lookups")),
    reference(counter("lmcache_mp_lookup_requested_tokens_total", "tokens",
                      "model_name, cache_salt",
                      "Tokens asked for, in whole chunks: what a hit rate divides by")),
    reference(counter("lmcache_mp_lookup_hit_tokens_total", "tokens", "model_name, cache_salt",
                      "Tokens found")),
    reference(counter("lmcache_mp_lookup_hit_l1_tokens_total", "tokens", "model_name, cache_salt",
                      "Of those, tokens found in L1")),
    reference(counter("lmcache_mp_lookup_hit_l1_keys_total", "objects", "model_name, cache_salt",
                      "Objects of those hits")),
    reference(gauge("lmcache_mp_active_prefetch_jobs", "requests", "",
                    "Lookups that wait for a prefetch; 0, there is no L2 yet")),
    gauge("lmcache_mp_sessions", "requests", "", "Looked-up requests that have not ended"),
    gauge("lmcache_mp_leases", "leases", "", "Leases held: they keep a hit's chunks from eviction"),
    counter("lmcache_mp_leases_expired_total", "leases", "", "Leases that lapsed unused"),
    counter("lmcache_mp_leases_freed_by_death_total", "leases", "",
            "Leases given up because their owner's connection ended"),
    counter("lmcache_mp_requests_total", "requests", "operation", "Requests answered"),
    counter("lmcache_mp_request_failures_total", "requests", "operation, cause",
            "Of those, answered with a failure"),
    histogram("lmcache_mp_request_queue_seconds", "seconds", "operation",
              "From a request's arrival to its turn"),
    histogram("lmcache_mp_request_work_seconds", "seconds", "operation",
              "From its turn to its answer"),
    histogram("lmcache_mp_request_reply_seconds", "seconds", "operation",
              "From its answer to its being handed to the kernel, or queued behind what "
              "its peer has not read"),
    gauge("lmcache_mp_connections", "connections", "", "Open request connections"),
    gauge("lmcache_mp_connections_paused", "connections", "",
          "Of those, not read from because of a limit"),
    counter("lmcache_mp_connections_accepted_total", "connections", "", "Connections accepted"),
    counter("lmcache_mp_connections_refused_total", "connections", "",
            "Connections closed at once: over --max-connections"),
    counter("lmcache_mp_accept_errors_total", "errors", "",
            "Failures to accept, for example out of file descriptors"),
    counter("lmcache_mp_handshake_timeouts_total", "connections", "",
            "Connections closed in the middle of the handshake"),
    counter("lmcache_mp_heartbeat_timeouts_total", "connections", "",
            "Connections closed because their peer fell silent"),
    counter("lmcache_mp_protocol_errors_total", "connections", "kind",
            "Connections closed for what their peer sent"),
    counter("lmcache_mp_messages_received_total", "messages", "", "Messages received"),
    counter("lmcache_mp_received_bytes_total", "bytes", "",
            "Bytes received on request connections"),
    counter("lmcache_mp_sent_bytes_total", "bytes", "", "Bytes sent on request connections"),
    gauge("lmcache_mp_unsent_bytes", "bytes", "", "Reply bytes that peers have not taken yet"),
    gauge("lmcache_mp_workers", "workers", "", "Registered engine workers"),
    gauge("lmcache_mp_token_chains", "sequences", "", "Token sequences whose hashes are kept"),
    gauge("lmcache_mp_token_chain_bytes", "bytes", "", "Memory of those hashes and tokens"),
    gauge("lmcache_mp_loop_silence_seconds", "seconds", "loop",
          "Since a thread's loop last came round; /healthcheck fails above 10"),
    gauge("lmcache_mp_build_info", "", "version, commit, instance_id",
          "Always 1; its labels say what runs"),
    reference(counter("process_cpu_seconds_total", "seconds", "", "Processor time used")),
    reference(gauge("process_resident_memory_bytes", "bytes", "", "Resident memory")),
    reference(gauge("process_virtual_memory_bytes", "bytes", "", "Virtual memory")),
    reference(gauge("process_open_fds", "descriptors", "", "Open file descriptors")),
    reference(gauge("process_max_fds", "descriptors", "", "Most there may be")),
    reference(gauge("process_start_time_seconds", "seconds", "",
                    "When the process started, in Unix time"))};

}  // namespace catalog

/// The metric of that name. One that the table does not have does not compile.
[[nodiscard]] consteval const MetricInfo& metric(std::string_view name) {
  for (const MetricInfo& info : catalog::kAll)
    if (info.name == name) return info;
  throw "there is no metric of that name";
}

/// The table of docs/METRICS.md.
[[nodiscard]] std::string metrics_markdown();

}  // namespace lmcache::admin
