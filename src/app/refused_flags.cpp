// Flags of the reference server that are refused when given, never accepted and ignored. A row
// leaves this table on the day its feature exists. docs/SERVER_FLAGS.md shows it to users.
#include "app/flag.hpp"

namespace lmcache::app {
namespace {

constexpr std::string_view kGrpc = "the gRPC transport is not part of this server";
constexpr std::string_view kPlugins = "runtime plugins are side processes of the Python server";
constexpr std::string_view kEngineDriven = "engine-driven transfers do not exist yet";
constexpr std::string_view kScripts = "running scripts sent by a client is not part of this server";
constexpr std::string_view kBlend = "the blend engine does not exist yet";
constexpr std::string_view kExperimental = "there are no experimental modules";
constexpr std::string_view kKvEvents = "the KV event log does not exist yet";
constexpr std::string_view kModules =
    "out-of-tree modules are Python code, which this server does not run";
constexpr std::string_view kPeers = "transfers between servers do not exist yet";
constexpr std::string_view kOneL1 = "there is one L1, in memory; size it with --l1-size-gb";
constexpr std::string_view kGds = "an L1 on NVMe is not part of this server";
constexpr std::string_view kL2 = "L2 storage does not exist yet";
constexpr std::string_view kNotifier = "completions are signalled here, not polled for";
constexpr std::string_view kPrometheusPort =
    "metrics are at /metrics on --http-port, as in the Python server";
constexpr std::string_view kOtlp =
    "metrics are pulled from /metrics; an OpenTelemetry collector's prometheus receiver does that";
constexpr std::string_view kTracing = "OpenTelemetry export does not exist yet";
constexpr std::string_view kEventBus = "there is no event bus";
constexpr std::string_view kHashLog = "logging lookup hashes to files is not part of this server";
constexpr std::string_view kGarbage = "there is no Python garbage collector to watch";
constexpr std::string_view kTrace = "recording traces is not part of this server";
constexpr std::string_view kCoordinator = "the coordinator client does not exist yet";
constexpr std::string_view kReport =
    "the server prints no report; see --log-level and --log-format";

}  // namespace

const std::vector<RefusedFlag>& refused_flags() {
  static const std::vector<RefusedFlag> table{
      {{"--grpc-server-workers"}, "32", kGrpc},
      {{"--runtime-plugin-locations"}, "none", kPlugins},
      {{"--runtime-plugin-config"}, "{}", kPlugins},
      {{"--shm-name"}, "\"\"", kEngineDriven, ""},
      {{"--script-allowed-imports"}, "none", kScripts},
      {{"--run-script-api-enabled", "--no-run-script-api-enabled"}, "off", kScripts},
      {{"--enable-segmented-prefix"}, "off", kBlend},
      {{"--enable-dedup-content"}, "off", kBlend},
      {{"--enable-blend-reorder"}, "off", kBlend},
      {{"--enable"}, "none", kExperimental},
      {{"--kv-event-log-size"}, "32768", kKvEvents, "0"},
      {{"--server-module"}, "none", kModules},
      {{"--p2p-advertise-url"}, "\"\"", kPeers, ""},
      {{"--p2p-listen-url"}, "\"\"", kPeers, ""},
      {{"--p2p-lookup-timeout"}, "30", kPeers},
      {{"--p2p-load-timeout"}, "30", kPeers},
      {{"--p2p-transfer-engine"}, "nixl", kPeers},
      {{"--l1-manager"}, "none", kOneL1},
      {{"--l1-devdax-path"}, "none", kOneL1},
      {{"--gds-l1-path"}, "none", kGds},
      {{"--gds-l1-use-direct-io", "--no-gds-l1-use-direct-io"}, "on", kGds},
      {{"--gds-l1-backend"}, "auto", kGds},
      {{"--l2-store-policy"}, "default", kL2},
      {{"--l2-prefetch-policy"}, "default", kL2},
      {{"--l2-prefetch-max-in-flight"}, "8", kL2},
      {{"--l2-adapter"}, "none", kL2},
      {{"--periodic-notifier-interval-ms"}, "5", kNotifier},
      {{"--disable-grpc-metrics"}, "off", kGrpc},
      {{"--enable-tracing"}, "off", kTracing},
      {{"--otlp-endpoint"}, "none", kOtlp},
      {{"--event-bus-queue-size"}, "10000", kEventBus},
      {{"--prometheus-port"}, "9090", kPrometheusPort, "9090"},
      {{"--lookup-hash-log-dir"}, "\"\"", kHashLog, ""},
      {{"--lookup-hash-log-rotation-interval"}, "21600", kHashLog},
      {{"--lookup-hash-log-rotation-max-size"}, "104857600", kHashLog},
      {{"--lookup-hash-log-max-files"}, "100", kHashLog},
      {{"--enable-gc-monitor"}, "off", kGarbage},
      {{"--gc-monitor-min-pause-ms"}, "1.0", kGarbage},
      {{"--gc-monitor-top-objects"}, "0", kGarbage},
      {{"--trace-level"}, "none", kTrace},
      {{"--trace-output"}, "none", kTrace},
      {{"--coordinator-url"}, "\"\"", kCoordinator, ""},
      {{"--coordinator-advertise-ip"}, "outbound IP", kCoordinator},
      {{"--coordinator-heartbeat-interval"}, "5.0", kCoordinator},
      {{"--coordinator-event-reporting"}, "off", kCoordinator},
      {{"--coordinator-event-flush-interval"}, "1.0", kCoordinator},
      {{"--coordinator-event-transport"}, "http", kCoordinator},
      {{"--coordinator-kafka-bootstrap-servers"}, "\"\"", kCoordinator},
      {{"--coordinator-kafka-topic"}, "lmcache-cache-events", kCoordinator},
      {{"--coordinator-kafka-delivery-timeout"}, "300", kCoordinator},
      {{"--coordinator-blend-timeout"}, "1.0", kCoordinator},
      {{"--coordinator-blend-match-concurrency"}, "8", kCoordinator},
      {{"--coordinator-l2-event-reporting"}, "off", kCoordinator},
      {{"--coordinator-l2-event-flush-interval"}, "1.0", kCoordinator},
      {{"--format"}, "terminal", kReport},
      {{"--output"}, "none", kReport},
      {{"--quiet", "-q"}, "off", kReport},
  };
  return table;
}

const std::vector<RefusedVariable>& refused_variables() {
  static const std::vector<RefusedVariable> table{
      {"LMCACHE_COORDINATOR_URL", kCoordinator},
      {"LMCACHE_COORDINATOR_ADVERTISE_IP", kCoordinator},
      {"LMCACHE_COORDINATOR_HEARTBEAT_INTERVAL", kCoordinator},
      {"LMCACHE_COORDINATOR_EVENT_REPORTING", kCoordinator, true},
      {"LMCACHE_COORDINATOR_EVENT_FLUSH_INTERVAL", kCoordinator},
  };
  return table;
}

}  // namespace lmcache::app
