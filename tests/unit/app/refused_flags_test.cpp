#include "app/flag.hpp"
#include "app/help.hpp"
#include "unit/app/parse_helpers.hpp"

#include <gmock/gmock.h>
#include <set>

namespace lmcache::app {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

// The reference's whole flag table: what this server makes of each is up to the two tables, but
// each must be in one of them.
const std::vector<std::string>& reference_flags() {
  static const std::vector<std::string> flags{"--instance-id",
                                              "--transport",
                                              "--host",
                                              "--port",
                                              "--chunk-size",
                                              "--null-block-id",
                                              "--max-workers",
                                              "--max-gpu-workers",
                                              "--max-cpu-workers",
                                              "--grpc-server-workers",
                                              "--hash-algorithm",
                                              "--engine-type",
                                              "--supported-transfer-mode",
                                              "--isolated-ipc",
                                              "--no-isolated-ipc",
                                              "--runtime-plugin-locations",
                                              "--runtime-plugin-config",
                                              "--shm-name",
                                              "--script-allowed-imports",
                                              "--run-script-api-enabled",
                                              "--no-run-script-api-enabled",
                                              "--separate-object-groups",
                                              "--no-separate-object-groups",
                                              "--worker-reap-timeout-seconds",
                                              "--worker-registration-grace-seconds",
                                              "--session-ttl-seconds",
                                              "--enable-segmented-prefix",
                                              "--enable-dedup-content",
                                              "--enable-blend-reorder",
                                              "--enable",
                                              "--kv-event-log-size",
                                              "--server-module",
                                              "--p2p-advertise-url",
                                              "--p2p-listen-url",
                                              "--p2p-lookup-timeout",
                                              "--p2p-load-timeout",
                                              "--p2p-transfer-engine",
                                              "--l1-manager",
                                              "--l1-size-gb",
                                              "--l1-use-lazy",
                                              "--no-l1-use-lazy",
                                              "--l1-init-size-gb",
                                              "--l1-align-bytes",
                                              "--l1-use-hugepages",
                                              "--no-l1-use-hugepages",
                                              "--l1-devdax-path",
                                              "--gds-l1-path",
                                              "--gds-l1-use-direct-io",
                                              "--no-gds-l1-use-direct-io",
                                              "--gds-l1-backend",
                                              "--l1-write-ttl-seconds",
                                              "--l1-read-ttl-seconds",
                                              "--eviction-policy",
                                              "--eviction-trigger-watermark",
                                              "--eviction-ratio",
                                              "--l2-store-policy",
                                              "--l2-prefetch-policy",
                                              "--l2-prefetch-max-in-flight",
                                              "--periodic-notifier-interval-ms",
                                              "--l2-adapter",
                                              "--http-host",
                                              "--http-port",
                                              "--disable-observability",
                                              "--disable-metrics",
                                              "--disable-grpc-metrics",
                                              "--disable-logging",
                                              "--enable-tracing",
                                              "--otlp-endpoint",
                                              "--event-bus-queue-size",
                                              "--prometheus-port",
                                              "--metrics-sample-rate",
                                              "--lookup-hash-log-dir",
                                              "--lookup-hash-log-rotation-interval",
                                              "--lookup-hash-log-rotation-max-size",
                                              "--lookup-hash-log-max-files",
                                              "--enable-gc-monitor",
                                              "--gc-monitor-min-pause-ms",
                                              "--gc-monitor-top-objects",
                                              "--enable-extra-logging",
                                              "--extra-logging-interval",
                                              "--trace-level",
                                              "--trace-output",
                                              "--coordinator-url",
                                              "--coordinator-advertise-ip",
                                              "--coordinator-heartbeat-interval",
                                              "--coordinator-event-reporting",
                                              "--coordinator-event-flush-interval",
                                              "--coordinator-event-transport",
                                              "--coordinator-kafka-bootstrap-servers",
                                              "--coordinator-kafka-topic",
                                              "--coordinator-kafka-delivery-timeout",
                                              "--coordinator-blend-timeout",
                                              "--coordinator-blend-match-concurrency",
                                              "--coordinator-l2-event-reporting",
                                              "--coordinator-l2-event-flush-interval",
                                              "--format",
                                              "--output",
                                              "--quiet"};
  return flags;
}

TEST(FlagTables, KnowEveryFlagOfTheReferenceOnce) {
  const auto names = flag_names();
  const std::set<std::string> distinct(names.begin(), names.end());
  EXPECT_EQ(distinct.size(), names.size()) << "a flag stands in both tables";
  for (const std::string& flag : reference_flags()) EXPECT_TRUE(distinct.contains(flag)) << flag;
}

TEST(RefusedFlags, AreRefusedInEveryForm) {
  for (const RefusedFlag& flag : refused_flags()) {
    for (const std::string_view view : flag.names) {
      const std::string name(view);
      const std::string expected = name + " is not supported: " + std::string(flag.reason);
      EXPECT_EQ(complaint({name, "x"}), expected);
      EXPECT_EQ(complaint({name + "=x"}), expected);
      EXPECT_EQ(complaint({name, "x", "y"}), expected);
      EXPECT_EQ(complaint({name, "x", name, "y"}), expected);
      EXPECT_EQ(complaint({"--port", "5", name, "x", "--chunk-size", "256"}), expected);
      if (!flag.harmless) {
        EXPECT_EQ(complaint({name}), expected);
      }
    }
  }
}

TEST(RefusedFlags, AreAcceptedWithTheValueThatAsksForNothing) {
  int accepted = 0;
  for (const RefusedFlag& flag : refused_flags()) {
    if (!flag.harmless) continue;
    const std::string name(flag.names.front());
    const std::string value(*flag.harmless);
    EXPECT_EQ(parse({name, value, "--port", "7"}).port, 7) << name;
    EXPECT_EQ(parse({name + "=" + value, "--port", "7"}).port, 7) << name;
    EXPECT_EQ(complaint({name}), name + " needs a value");
    ++accepted;
  }
  EXPECT_EQ(accepted, 7);
}

TEST(RefusedFlags, JsonValuesAndListsDoNotConfuse) {
  EXPECT_THAT(complaint({"--l2-adapter", R"({"type":"fs","base_path":"/x"})"}),
              StartsWith("--l2-adapter is not"));
  EXPECT_THAT(complaint({"--runtime-plugin-config", "{}"}),
              StartsWith("--runtime-plugin-config is not"));
  EXPECT_THAT(complaint({"--l1-manager=[1,2]"}), StartsWith("--l1-manager is not"));
}

TEST(RefusedFlags, ShortFormToo) {
  EXPECT_THAT(complaint({"-q"}), StartsWith("-q is not supported: "));
}

TEST(RefusedFlags, EachHasAReasonOfOneLine) {
  for (const RefusedFlag& flag : refused_flags()) {
    EXPECT_GT(flag.reason.size(), 10u) << flag.names.front();
    EXPECT_EQ(flag.reason.find('\n'), std::string_view::npos);
  }
}

}  // namespace
}  // namespace lmcache::app
