#include "app/flag_rules.hpp"

#include <bit>

namespace lmcache::app {
namespace {

using C = ServerConfig;
constexpr double kYear = 365.0 * 24 * 3600;

ServerFlag flag(std::string name, std::string value, Rule rule, std::string help) {
  return {std::move(name),          "",
          std::move(value),         std::move(rule.allowed),
          std::move(rule.fallback), std::move(help),
          std::move(rule.set)};
}

ServerFlag toggle_flag(std::string name, std::string negation, Rule rule, std::string help) {
  ServerFlag made = flag(std::move(name), "", std::move(rule), std::move(help));
  made.negation = std::move(negation);
  return made;
}

/// Stands above the flags for its parts, whichever comes first.
Rule no_observability() {
  return {"", "off", [](Draft& draft, const std::string& text) -> std::optional<Refusal> {
            if (text != "true" && text != "false") return Refusal{};
            draft.observability = text != "true";
            return std::nullopt;
          }};
}

/// The two pool sizes follow --max-workers where they are not given, so they go into the draft
/// first.
Rule workers(std::optional<unsigned> Draft::*member) {
  return {"whole number 1..1024", "--max-workers", [=](Draft& draft, const std::string& text) {
            draft.*member = parse_integer<unsigned>(text, 1, 1024);
            return draft.*member ? std::optional<Refusal>() : Refusal{};
          }};
}

Rule alignment() {
  Rule rule = whole_number(&C::l1_align_bytes, std::uint64_t{512}, std::uint64_t{2} << 20);
  rule.allowed = "power of two, 512..2097152";
  rule.set = [inner = std::move(rule.set)](Draft& draft,
                                           const std::string& text) -> std::optional<Refusal> {
    if (auto refusal = inner(draft, text)) return refusal;
    if (!std::has_single_bit(draft.config.l1_align_bytes)) return Refusal{};
    return std::nullopt;
  };
  return rule;
}

/// "SALT:MIN:MAX,...", in GiB; MAX may be empty. The last two colons count, so a salt may hold
/// some.
std::optional<std::pair<std::string, TenantQuota>> parse_quota(std::string_view text) {
  constexpr double kGib = 1024.0 * 1024.0 * 1024.0;
  const std::size_t second = text.rfind(':');
  if (second == std::string_view::npos || second == 0) return std::nullopt;
  const std::size_t first = text.rfind(':', second - 1);
  if (first == std::string_view::npos) return std::nullopt;
  const auto low = parse_real(text.substr(first + 1, second - first - 1), 0, 65536);
  const std::string_view most = text.substr(second + 1);
  const auto high = most.empty() ? std::optional(0.0) : parse_real(most, 0, 65536);
  if (!low || !high || (!most.empty() && *high < *low)) return std::nullopt;
  TenantQuota quota;
  quota.min_bytes = static_cast<std::uint64_t>(*low * kGib);
  if (!most.empty()) quota.max_bytes = static_cast<std::uint64_t>(*high * kGib);
  return std::pair(std::string(text.substr(0, first)), quota);
}

Rule tenant_quotas() {
  return {"SALT:MIN:MAX, comma separated, each salt once; GiB, MAX empty for unlimited", "",
          [](Draft& draft, const std::string& text) -> std::optional<Refusal> {
            auto& quotas = draft.config.tenant_quotas;
            quotas.clear();
            for (std::string_view left = text; !left.empty();) {
              const std::size_t comma = left.find(',');
              auto quota = parse_quota(left.substr(0, comma));
              if (!quota || !quotas.insert(std::move(*quota)).second) return Refusal{};
              left.remove_prefix(comma == std::string_view::npos ? left.size() : comma + 1);
            }
            return std::nullopt;
          }};
}

/// Seconds of at least `low`, or 0 with a meaning of its own.
Rule seconds_or_zero(std::chrono::milliseconds C::*member, const std::string& zero, double low,
                     double high) {
  Rule rule = seconds(member, 0, high);
  rule.allowed = "0 (" + zero + "), or seconds " + number_text(low) + ".." + number_text(high);
  rule.set = [=, inner = std::move(rule.set)](Draft& draft,
                                              const std::string& text) -> std::optional<Refusal> {
    if (auto refusal = inner(draft, text)) return refusal;
    const std::chrono::duration<double> value = draft.config.*member;
    if (value.count() != 0 && value.count() < low) return Refusal{};
    return std::nullopt;
  };
  return rule;
}

FlagGroup socket_flags() {
  return {"Request socket",
          {
              flag("--transport", "NAME",
                   only("zmq", {{"grpc", "the gRPC transport is not part of this server"}}),
                   "request transport"),
              flag("--host", "HOST", short_text(&C::host, 255, false),
                   "address to bind; the protocol has no authentication, so a host that is not "
                   "loopback is warned of"),
              flag("--port", "N", whole_number(&C::port, std::uint16_t{0}),
                   "TCP port to bind; 0 takes a free one, which the log names"),
              flag("--request-socket", "PATH", short_text(&C::request_socket, 107, true),
                   "also serve on this unix socket, mode 0660"),
              toggle_flag("--no-tcp", "", toggle(&C::tcp, false), "serve on the unix socket only"),
              flag("--io-threads", "N", whole_number(&C::io_threads, 1u, 64u),
                   "threads that read and write connections"),
          }};
}

FlagGroup limit_flags() {
  return {"Limits",
          {
              flag("--max-connections", "N", whole_number(&C::max_connections, 1u, 1'000'000u),
                   "connections at one time; more are closed at once"),
              flag("--max-message-bytes", "N",
                   whole_number(&C::max_message_bytes, std::uint64_t{1024}, std::uint64_t{4} << 30),
                   "largest request; a peer that sends a larger one is disconnected"),
              flag("--max-frames", "N", whole_number(&C::max_frames, 16u, 65536u),
                   "most frames of one request"),
              flag("--max-unsent-bytes", "N",
                   whole_number(&C::max_unsent_bytes, std::uint64_t{4096}, std::uint64_t{64} << 30),
                   "unsent reply bytes at which a connection is no longer read from"),
              flag("--max-inflight", "N", whole_number(&C::max_inflight, 1u, 1'000'000u),
                   "unanswered requests at which a connection is no longer read from"),
              flag("--handshake-timeout-seconds", "S", seconds(&C::handshake_timeout, 0.1, 3600),
                   "time a new connection has to finish the ZMTP handshake"),
              flag("--heartbeat-interval-seconds", "S",
                   seconds_or_zero(&C::heartbeat_interval, "off", 0.1, 3600),
                   "time between the ZMTP PINGs sent to each peer"),
              flag("--heartbeat-timeout-seconds", "S", seconds(&C::heartbeat_timeout, 0.2, 86400),
                   "silence after which a peer counts as dead; more than the interval"),
              flag("--shutdown-timeout-seconds", "S", seconds(&C::shutdown_timeout, 0, 3600),
                   "time that requests in flight have after SIGTERM or SIGINT"),
          }};
}

FlagGroup request_flags() {
  return {"Requests",
          {
              flag("--chunk-size", "N", whole_number(&C::chunk_size, 1u, 65536u),
                   "tokens of a chunk; a multiple of every group's tokens per block"),
              flag("--null-block-id", "N",
                   whole_number(&C::null_block_id, std::numeric_limits<std::int64_t>::min()),
                   "engine block id that means \"no data\""),
              flag("--hash-algorithm", "NAME",
                   only("blake3", {{"sha256_cbor", "that hash comes from an engine's Python code"},
                                   {"builtin", "that hash is Python's, seeded per process"}}),
                   "hash of token chunks"),
              flag("--engine-type", "NAME",
                   only("default", {{"blend", "the blend engine does not exist yet"}}),
                   "kind of reuse: whole prefixes"),
              flag("--supported-transfer-mode", "NAME",
                   only("lmcache_driven",
                        {{"engine_driven", "engine-driven transfers do not exist yet"},
                         {"auto", "engine-driven transfers do not exist yet"}}),
                   "who copies: the server"),
              toggle_flag("--separate-object-groups", "--no-separate-object-groups",
                          toggle(&C::separate_object_groups, true),
                          "one object group per attention window; off: a single one"),
              flag("--max-workers", "N", whole_number(&C::max_workers, 1u, 1024u),
                   "threads of each of the two pools below"),
              flag("--max-gpu-workers", "N", workers(&Draft::max_gpu_workers), "copy threads"),
              flag("--max-cpu-workers", "N", workers(&Draft::max_cpu_workers), "request threads"),
              flag("--worker-reap-timeout-seconds", "S",
                   seconds_or_zero(&C::worker_reap_timeout, "never", 30, kYear),
                   "silence after which an engine's registration is dropped"),
              flag("--worker-registration-grace-seconds", "S",
                   seconds(&C::worker_registration_grace, 0, kYear),
                   "the same for an engine that has never pinged; at least the reap timeout"),
              flag("--session-ttl-seconds", "S", seconds(&C::session_ttl, 0.1, kYear),
                   "time after its last use that a request's state is kept"),
          }};
}

FlagGroup gpu_flags() {
  return {"GPUs",
          {
              flag("--gpu-staging-mb", "MIB",
                   whole_number(&C::gpu_staging_mb, std::uint64_t{64}, std::uint64_t{65536}),
                   "staging buffers of one GPU; every 64 MiB are one engine's own lane"),
              flag("--gpu-copy-blocks", "N", whole_number(&C::gpu_copy_blocks, 1u, 1024u),
                   "thread blocks of a copy kernel: how much of a GPU it may take"),
              toggle_flag("--isolated-ipc", "--no-isolated-ipc", toggle(&C::isolated_ipc, true),
                          "engines share no IPC namespace: timeline semaphores instead of events"),
              flag("--ready-pinned-ratio", "F", real_number(&C::ready_pinned_ratio, 0, false, 1),
                   "share of L1 that is touched, and while a GPU is in use pinned, before /readyz "
                   "says so; 0: as soon as it serves"),
          }};
}

FlagGroup cache_flags() {
  return {"L1 cache",
          {
              flag("--l1-size-gb", "GIB", real_number(&C::l1_size_gb, 0.001, false, 65536),
                   "size of the pool in GiB; memory is taken when first used"),
              flag("--l1-align-bytes", "N", alignment(), "alignment of every object"),
              toggle_flag("--l1-use-lazy", "--no-l1-use-lazy", toggle(&C::l1_use_lazy, true),
                          "with a GPU: serve while L1 is still being touched and pinned; off: "
                          "touch all of it first"),
              flag("--l1-init-size-gb", "GIB", real_number(&C::l1_init_size_gb, 0, true, 65536),
                   "with a GPU: GiB that are touched and pinned at full speed, before the rest"),
              toggle_flag("--l1-use-hugepages", "--no-l1-use-hugepages",
                          toggle(&C::l1_use_hugepages, true),
                          "take L1 from the 2 MiB pages that the administrator reserved"),
              toggle_flag("--l1-lock-memory", "", toggle(&C::l1_lock_memory, true),
                          "keep L1 out of swap; needs a memlock limit of its size"),
              flag("--l1-write-ttl-seconds", "S", seconds(&C::l1_write_ttl, 1, kYear),
                   "backstop: longest time a store may wait before it begins"),
              flag("--l1-read-ttl-seconds", "S", seconds(&C::l1_read_ttl, 1, kYear),
                   "backstop: longest time an unused lease is kept"),
              flag("--eviction-policy", "NAME",
                   choice(&C::eviction_policy, {"LRU", "LFU", "ARC", "S3FIFO", "WTINYLFU",
                                                "GITTINS", "IsolatedLRU", "noop"}),
                   "what goes first when memory is short"),
              flag("--eviction-trigger-watermark", "F",
                   real_number(&C::eviction_trigger_watermark, 0, true, 1),
                   "share of L1 in use at which background eviction starts; 1: never"),
              flag("--eviction-ratio", "F", real_number(&C::eviction_ratio, 0, false, 1),
                   "share of the watermark's bytes that background eviction frees"),
              flag("--tenant-quotas", "LIST", tenant_quotas(),
                   "what a cache_salt is guaranteed of L1 and may have at most; for IsolatedLRU"),
              flag("--window-checkpoint-chunks", "N",
                   whole_number(&C::window_checkpoint_chunks, 1u, 1'000'000u),
                   "inside a stored range keep windowed state of every Nth chunk only, to save the "
                   "copy; a hit that ends between two of them is shortened"),
          }};
}

FlagGroup http_flags() {
  return {
      "Admin HTTP",
      {
          flag("--http-host", "HOST", short_text(&C::http_host, 255, false),
               "address to bind; without a token whoever reaches it can clear the cache, so a "
               "host that is not loopback is warned of"),
          flag("--http-port", "N", whole_number(&C::http_port, std::uint16_t{0}),
               "TCP port to bind; 0 takes a free one, which the log names"),
          flag("--http-socket", "PATH", short_text(&C::http_socket, 107, true),
               "also serve on this unix socket, mode 0660"),
          toggle_flag("--no-http-tcp", "", toggle(&C::http_tcp, false),
                      "serve on the unix socket only"),
          toggle_flag("--no-http", "", toggle(&C::http, false), "no admin HTTP at all"),
          flag("--http-token-file", "PATH", short_text(&C::http_token_file, 4096, true),
               "file whose first line is the bearer token that requests must carry; health, "
               "readiness and the page /ui, which holds no data, are answered without"),
          flag("--http-max-connections", "N", whole_number(&C::http_max_connections, 1u, 100'000u),
               "connections at one time; beyond it the one that has waited longest for a "
               "request, or else for its answer to be read, is closed"),
          flag("--http-timeout-seconds", "S", seconds(&C::http_timeout, 0.1, 3600),
               "time a request has to arrive whole, and an answer to be taken"),
      }};
}

FlagGroup observability_flags() {
  return {"Observability",
          {
              flag("--instance-id", "ID", short_text(&C::instance_id, 128, true),
                   "name of this server in the log; empty: a random UUID"),
              flag("--log-level", "NAME", choice(&C::log_level, {"debug", "info", "warn", "error"}),
                   "least level that is logged; LMCACHE_LOG_LEVEL sets it too"),
              flag("--log-format", "NAME", choice(&C::log_format, {"text", "json"}),
                   "text for people, json (one object a line) for machines"),
              flag("--log-file", "PATH", short_text(&C::log_file, 4096, true),
                   "append the log to this file, opened anew on SIGHUP; empty: stderr"),
              toggle_flag("--disable-observability", "", no_observability(),
                          "the same as --disable-metrics and --disable-logging"),
              toggle_flag("--disable-metrics", "", toggle(&C::metrics, false), "no /metrics"),
              flag("--metrics-sample-rate", "F", real_number(&C::metrics_sample_rate, 0, true, 1),
                   "share of chunks of which it is measured how long they stay and when they are "
                   "used again; what is counted is counted whole"),
              toggle_flag("--disable-logging", "", toggle(&C::request_logging, false),
                          "failed requests are counted but not logged"),
              toggle_flag("--enable-extra-logging", "", toggle(&C::extra_logging, true),
                          "log throughput and memory at intervals"),
              flag("--extra-logging-interval", "S", seconds(&C::extra_logging_interval, 0.1, 86400),
                   "seconds between those lines"),
          }};
}

}  // namespace

const std::vector<FlagGroup>& server_flags() {
  static const std::vector<FlagGroup> groups{socket_flags(),       request_flags(), cache_flags(),
                                             gpu_flags(),          limit_flags(),   http_flags(),
                                             observability_flags()};
  return groups;
}

}  // namespace lmcache::app
