#include "admin/metrics_catalog.hpp"

#include <array>

namespace lmcache::admin::catalog {
namespace {

constexpr auto kC = MetricKind::kCounter;
constexpr auto kG = MetricKind::kGauge;
constexpr auto kH = MetricKind::kHistogram;
constexpr bool kReference = true;

}  // namespace

const MetricInfo kL1Usage{"lmcache_mp_l1_memory_usage_bytes",
                          kG,
                          "bytes",
                          "backend, l1_tag",
                          "Bytes in use in L1",
                          kReference};
const MetricInfo kL1Ratio{"lmcache_mp_l1_usage_ratio",  kG,        "ratio", "backend, l1_tag",
                          "Share of L1 in use, 0 to 1", kReference};
const MetricInfo kL1Total{"lmcache_mp_l1_memory_total_bytes", kG, "bytes", "backend, l1_tag",
                          "Size of L1"};
const MetricInfo kL1Staging{"lmcache_mp_l1_staging_bytes",
                            kG,
                            "bytes",
                            "backend, l1_tag",
                            "Bytes reserved by stores that have not ended",
                            kReference};
const MetricInfo kL1LargestFree{"lmcache_mp_l1_largest_free_bytes", kG, "bytes", "",
                                "Largest free extent; far below the free bytes: fragmentation"};
const MetricInfo kL1Objects{"lmcache_mp_l1_objects", kG, "objects", "", "Resident objects"};
const MetricInfo kL1Chunks{"lmcache_mp_l1_chunks", kG, "chunks", "", "Resident chunks"};
const MetricInfo kL1PinnedChunks{"lmcache_mp_l1_pinned_chunks", kG, "chunks", "",
                                 "Chunks that leases, reads and stores keep from eviction"};
const MetricInfo kModelBytes{"lmcache_mp_l1_model_bytes", kG, "bytes", "model_name, state",
                             "Bytes of a model's resident objects; state pinned: of those, what "
                             "may not be evicted. Counted every two seconds or less often"};

const MetricInfo kL1Written{"lmcache_mp_l1_write_chunks_total",
                            kC,
                            "objects",
                            "l1_tag, cache_salt",
                            "Objects written to L1",
                            kReference};
const MetricInfo kL1Read{"lmcache_mp_l1_read_chunks_total",
                         kC,
                         "objects",
                         "l1_tag, cache_salt",
                         "Objects read from L1",
                         kReference};
const MetricInfo kL1Evicted{"lmcache_mp_l1_evicted_chunks_total",
                            kC,
                            "objects",
                            "l1_tag",
                            "Objects evicted from L1",
                            kReference};
const MetricInfo kL1EvictedBytes{"lmcache_mp_l1_evicted_bytes_total", kC, "bytes", "policy, reason",
                                 "Bytes evicted; reason watermark: in the background, allocation: "
                                 "because a store needed room"};
const MetricInfo kEvictionTicks{
    "lmcache_mp_l1_eviction_loop_ticks_total",     kC,        "rounds", "",
    "Rounds of background eviction, every second", kReference};
const MetricInfo kEvictionTriggered{
    "lmcache_mp_l1_eviction_loop_triggered_total", kC,        "rounds", "",
    "Of those, rounds that evicted something",     kReference};
const MetricInfo kAllocationFailures{"lmcache_mp_l1_allocation_failure_total",
                                     kC,
                                     "stores",
                                     "",
                                     "Stores answered false because nothing could make room",
                                     kReference};

const MetricInfo kSubmittedStores{
    "lmcache_mp_num_submitted_stores_total", kC,        "transfers", "device",
    "Stores handed to the copy threads",     kReference};
const MetricInfo kFinishedStores{
    "lmcache_mp_num_finished_stores_total", kC,        "transfers", "device",
    "Stores whose copy has ended",          kReference};
const MetricInfo kSubmittedRetrieves{
    "lmcache_mp_num_submitted_retrieves_total", kC,        "transfers", "device",
    "Retrieves handed to the copy threads",     kReference};
const MetricInfo kFinishedRetrieves{
    "lmcache_mp_num_finished_retrieves_total", kC,        "transfers", "device",
    "Retrieves whose copy has ended",          kReference};
const MetricInfo kStoreThroughput{"lmcache_mp_l0_l1_store_throughput_GB_per_second",
                                  kH,
                                  "GB/s",
                                  "device, engine_id, model_name",
                                  "Bytes of a store by the time from submission to its end",
                                  kReference};
const MetricInfo kLoadThroughput{"lmcache_mp_l0_l1_load_throughput_GB_per_second",
                                 kH,
                                 "GB/s",
                                 "device, engine_id, model_name",
                                 "Bytes of a retrieve by the time from submission to its end",
                                 kReference};
const MetricInfo kChunksLoaded{
    "lmcache_mp_num_chunks_loaded_total", kC,        "chunks", "model_name, cache_salt, worker_id",
    "Chunks copied to a worker",          kReference};
const MetricInfo kCopiedBytes{"lmcache_mp_copied_bytes_total", kC, "bytes", "direction",
                              "Bytes the copy threads have moved"};
const MetricInfo kCopyQueue{"lmcache_mp_copy_jobs", kG, "transfers", "",
                            "Transfers submitted and not ended"};
const MetricInfo kCopyFailures{"lmcache_mp_copy_failures_total", kC, "transfers", "",
                               "Transfers that ended with an error"};

const MetricInfo kLookups{"lmcache_mp_lookups_requests_total",
                          kC,
                          "requests",
                          "model_name, cache_salt",
                          "Lookups",
                          kReference};
const MetricInfo kRequestedTokens{"lmcache_mp_lookup_requested_tokens_total",
                                  kC,
                                  "tokens",
                                  "model_name, cache_salt",
                                  "Tokens asked for, in whole chunks: what a hit rate divides by",
                                  kReference};
const MetricInfo kHitTokens{"lmcache_mp_lookup_hit_tokens_total",
                            kC,
                            "tokens",
                            "model_name, cache_salt",
                            "Tokens found",
                            kReference};
const MetricInfo kHitL1Tokens{
    "lmcache_mp_lookup_hit_l1_tokens_total", kC,        "tokens", "model_name, cache_salt",
    "Of those, tokens found in L1",          kReference};
const MetricInfo kHitL1Keys{"lmcache_mp_lookup_hit_l1_keys_total",
                            kC,
                            "objects",
                            "model_name, cache_salt",
                            "Objects of those hits",
                            kReference};
const MetricInfo kPrefetchJobs{"lmcache_mp_active_prefetch_jobs",
                               kG,
                               "requests",
                               "",
                               "Lookups that wait for a prefetch; 0, there is no L2 yet",
                               kReference};
const MetricInfo kSessions{"lmcache_mp_sessions", kG, "requests", "",
                           "Looked-up requests that have not ended"};
const MetricInfo kLeasesExpired{"lmcache_mp_leases_expired_total", kC, "leases", "",
                                "Leases that lapsed unused"};
const MetricInfo kLeasesFreed{"lmcache_mp_leases_freed_by_death_total", kC, "leases", "",
                              "Leases given up because their owner's connection ended"};

const MetricInfo kRequests{"lmcache_mp_requests_total", kC, "requests", "operation",
                           "Requests answered"};
const MetricInfo kFailures{"lmcache_mp_request_failures_total", kC, "requests", "operation, cause",
                           "Of those, answered with a failure"};
const MetricInfo kQueueSeconds{"lmcache_mp_request_queue_seconds", kH, "seconds", "operation",
                               "From a request's arrival to its turn"};
const MetricInfo kWorkSeconds{"lmcache_mp_request_work_seconds", kH, "seconds", "operation",
                              "From its turn to its answer"};
const MetricInfo kReplySeconds{"lmcache_mp_reply_seconds", kH, "seconds", "",
                               "From an answer to its being handed to the kernel, or queued "
                               "behind what its peer has not read"};

const MetricInfo kConnections{"lmcache_mp_connections", kG, "connections", "",
                              "Open request connections"};
const MetricInfo kPaused{"lmcache_mp_connections_paused", kG, "connections", "",
                         "Of those, not read from because of a limit"};
const MetricInfo kAccepted{"lmcache_mp_connections_accepted_total", kC, "connections", "",
                           "Connections accepted"};
const MetricInfo kRefused{"lmcache_mp_connections_refused_total", kC, "connections", "",
                          "Connections closed at once: over --max-connections"};
const MetricInfo kAcceptErrors{"lmcache_mp_accept_errors_total", kC, "errors", "",
                               "Failures to accept, for example out of file descriptors"};
const MetricInfo kHandshakeTimeouts{"lmcache_mp_handshake_timeouts_total", kC, "connections", "",
                                    "Connections closed in the middle of the handshake"};
const MetricInfo kHeartbeatTimeouts{"lmcache_mp_heartbeat_timeouts_total", kC, "connections", "",
                                    "Connections closed because their peer fell silent"};
const MetricInfo kProtocolErrors{"lmcache_mp_protocol_errors_total", kC, "connections", "kind",
                                 "Connections closed for what their peer sent"};
const MetricInfo kMessages{"lmcache_mp_messages_received_total", kC, "messages", "",
                           "Messages received"};
const MetricInfo kBytesIn{"lmcache_mp_received_bytes_total", kC, "bytes", "",
                          "Bytes received on request connections"};
const MetricInfo kBytesOut{"lmcache_mp_sent_bytes_total", kC, "bytes", "",
                           "Bytes sent on request connections"};
const MetricInfo kUnsentBytes{"lmcache_mp_unsent_bytes", kG, "bytes", "",
                              "Reply bytes that peers have not taken yet"};

const MetricInfo kWorkers{"lmcache_mp_workers", kG, "workers", "", "Registered engine workers"};
const MetricInfo kChains{"lmcache_mp_token_chains", kG, "sequences", "",
                         "Token sequences whose hashes are kept"};
const MetricInfo kChainBytes{"lmcache_mp_token_chain_bytes", kG, "bytes", "",
                             "Memory of those hashes and tokens"};
const MetricInfo kLoopSilence{"lmcache_mp_loop_silence_seconds", kG, "seconds", "loop",
                              "Since a thread's loop last came round; /healthcheck fails above 10"};
const MetricInfo kBuild{"lmcache_mp_build_info", kG, "", "version, commit, instance_id",
                        "Always 1; its labels say what runs"};

const MetricInfo kCpu{"process_cpu_seconds_total", kC,        "seconds", "",
                      "Processor time used",       kReference};
const MetricInfo kResident{
    "process_resident_memory_bytes", kG, "bytes", "", "Resident memory", kReference};
const MetricInfo kVirtual{
    "process_virtual_memory_bytes", kG, "bytes", "", "Virtual memory", kReference};
const MetricInfo kOpenFds{"process_open_fds",      kG,        "descriptors", "",
                          "Open file descriptors", kReference};
const MetricInfo kMaxFds{"process_max_fds", kG, "descriptors", "", "Most there may be", kReference};
const MetricInfo kStartTime{"process_start_time_seconds",
                            kG,
                            "seconds",
                            "",
                            "When the process started, in Unix time",
                            kReference};

std::span<const MetricInfo* const> all() noexcept {
  static constexpr std::array kAll{&kL1Usage,
                                   &kL1Ratio,
                                   &kL1Total,
                                   &kL1Staging,
                                   &kL1LargestFree,
                                   &kL1Objects,
                                   &kL1Chunks,
                                   &kL1PinnedChunks,
                                   &kModelBytes,
                                   &kL1Written,
                                   &kL1Read,
                                   &kL1Evicted,
                                   &kL1EvictedBytes,
                                   &kEvictionTicks,
                                   &kEvictionTriggered,
                                   &kAllocationFailures,
                                   &kSubmittedStores,
                                   &kFinishedStores,
                                   &kSubmittedRetrieves,
                                   &kFinishedRetrieves,
                                   &kStoreThroughput,
                                   &kLoadThroughput,
                                   &kChunksLoaded,
                                   &kCopiedBytes,
                                   &kCopyQueue,
                                   &kCopyFailures,
                                   &kLookups,
                                   &kRequestedTokens,
                                   &kHitTokens,
                                   &kHitL1Tokens,
                                   &kHitL1Keys,
                                   &kPrefetchJobs,
                                   &kSessions,
                                   &kLeasesExpired,
                                   &kLeasesFreed,
                                   &kRequests,
                                   &kFailures,
                                   &kQueueSeconds,
                                   &kWorkSeconds,
                                   &kReplySeconds,
                                   &kConnections,
                                   &kPaused,
                                   &kAccepted,
                                   &kRefused,
                                   &kAcceptErrors,
                                   &kHandshakeTimeouts,
                                   &kHeartbeatTimeouts,
                                   &kProtocolErrors,
                                   &kMessages,
                                   &kBytesIn,
                                   &kBytesOut,
                                   &kUnsentBytes,
                                   &kWorkers,
                                   &kChains,
                                   &kChainBytes,
                                   &kLoopSilence,
                                   &kBuild,
                                   &kCpu,
                                   &kResident,
                                   &kVirtual,
                                   &kOpenFds,
                                   &kMaxFds,
                                   &kStartTime};
  return kAll;
}

std::string markdown() {
  std::string out =
      "| Metric | Type | Unit | Labels | Reference | Meaning |\n|---|---|---|---|---|---|\n";
  for (const MetricInfo* info : all()) {
    out.append("| `").append(info->name).append("` | ").append(to_string(info->kind));
    out.append(" | ").append(info->unit).append(" | ").append(info->labels);
    out.append(" | ").append(info->of_reference ? "yes" : "").append(" | ").append(info->help);
    out.append(" |\n");
  }
  return out;
}

}  // namespace lmcache::admin::catalog
