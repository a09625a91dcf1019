#include "app/flag.hpp"
#include "unit/app/parse_helpers.hpp"

#include <gmock/gmock.h>

namespace lmcache::app {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

TEST(ServerFlags, WithoutAnyIsTheDefaultConfig) {
  EXPECT_EQ(parse({}), ServerConfig{});
}

// The values that a user of the reference relies on; the reference's table is the source, not our
// struct.
TEST(ServerFlags, DefaultsAreTheReferences) {
  const ServerConfig config = parse({});
  EXPECT_EQ(config.host, "localhost");
  EXPECT_EQ(config.port, 5555);
  EXPECT_EQ(config.chunk_size, 256u);
  EXPECT_EQ(config.null_block_id, 0);
  EXPECT_EQ(config.max_gpu_workers, 1u);
  EXPECT_EQ(config.max_cpu_workers, 1u);
  EXPECT_EQ(config.worker_reap_timeout, 120s);
  EXPECT_EQ(config.worker_registration_grace, 3600s);
  EXPECT_EQ(config.session_ttl, 600s);
  EXPECT_EQ(config.l1_align_bytes, 4096u);
  EXPECT_EQ(config.l1_write_ttl, 600s);
  EXPECT_EQ(config.l1_read_ttl, 300s);
  EXPECT_EQ(config.eviction_ratio, 0.2);
  EXPECT_FALSE(config.extra_logging);
  EXPECT_FALSE(config.l1_lock_memory);
  EXPECT_EQ(config.extra_logging_interval, 10s);
  // Ours differ here on purpose: the reference has no default for the first two, 0.8 for the
  // watermark (its stores do not make room by themselves), and off for separate_object_groups.
  EXPECT_EQ(config.l1_size_gb, 1.0);
  EXPECT_EQ(config.eviction_policy, "LFU");
  EXPECT_EQ(config.eviction_trigger_watermark, 1.0);
  EXPECT_EQ(config.window_checkpoint_chunks, 1u);
  EXPECT_TRUE(config.tenant_quotas.empty());
  EXPECT_TRUE(config.separate_object_groups);
}

TEST(ServerFlags, TheDefaultThatTheHelpShowsIsTheDefault) {
  for (const FlagGroup& group : server_flags()) {
    for (const ServerFlag& flag : group.flags) {
      if (flag.value.empty()) continue;
      const bool follows = flag.fallback == "--max-workers";
      EXPECT_EQ(parse({flag.name, follows ? "1" : flag.fallback}), ServerConfig{}) << flag.name;
    }
  }
}

TEST(ServerFlags, EachLandsInItsMember) {
  const ServerConfig config = parse({"--transport",
                                     "zmq",
                                     "--host",
                                     "::1",
                                     "--port",
                                     "0",
                                     "--request-socket",
                                     "/run/lmcache.sock",
                                     "--no-tcp",
                                     "--io-threads",
                                     "3",
                                     "--chunk-size",
                                     "64",
                                     "--null-block-id",
                                     "-1",
                                     "--hash-algorithm",
                                     "blake3",
                                     "--engine-type",
                                     "default",
                                     "--supported-transfer-mode",
                                     "lmcache_driven",
                                     "--no-separate-object-groups",
                                     "--max-gpu-workers",
                                     "5",
                                     "--max-cpu-workers",
                                     "6",
                                     "--worker-reap-timeout-seconds",
                                     "30.5",
                                     "--worker-registration-grace-seconds",
                                     "31",
                                     "--session-ttl-seconds",
                                     "0.25",
                                     "--l1-size-gb",
                                     "2.5",
                                     "--l1-align-bytes",
                                     "512",
                                     "--l1-write-ttl-seconds",
                                     "7",
                                     "--l1-read-ttl-seconds",
                                     "8",
                                     "--eviction-policy",
                                     "IsolatedLRU",
                                     "--tenant-quotas",
                                     "a:0.5:1,with:colon:0:,:0.25:2.5",
                                     "--window-checkpoint-chunks",
                                     "8",
                                     "--ready-pinned-ratio",
                                     "0.75",
                                     "--eviction-trigger-watermark",
                                     "0.5",
                                     "--eviction-ratio",
                                     "0",
                                     "--max-connections",
                                     "9",
                                     "--max-message-bytes",
                                     "1024",
                                     "--max-frames",
                                     "16",
                                     "--max-unsent-bytes",
                                     "4096",
                                     "--max-inflight",
                                     "10",
                                     "--handshake-timeout-seconds",
                                     "0.5",
                                     "--heartbeat-interval-seconds",
                                     "1",
                                     "--heartbeat-timeout-seconds",
                                     "1.001",
                                     "--shutdown-timeout-seconds",
                                     "0",
                                     "--instance-id",
                                     "node-7",
                                     "--log-level",
                                     "debug",
                                     "--log-format",
                                     "json",
                                     "--disable-logging",
                                     "--l1-lock-memory",
                                     "--enable-extra-logging",
                                     "--extra-logging-interval",
                                     "2"});
  EXPECT_EQ(config.host, "::1");
  EXPECT_EQ(config.port, 0);
  EXPECT_EQ(config.request_socket, "/run/lmcache.sock");
  EXPECT_FALSE(config.tcp);
  EXPECT_EQ(config.io_threads, 3u);
  EXPECT_EQ(config.chunk_size, 64u);
  EXPECT_EQ(config.null_block_id, -1);
  EXPECT_FALSE(config.separate_object_groups);
  EXPECT_EQ(config.max_gpu_workers, 5u);
  EXPECT_EQ(config.max_cpu_workers, 6u);
  EXPECT_EQ(config.worker_reap_timeout, 30500ms);
  EXPECT_EQ(config.worker_registration_grace, 31s);
  EXPECT_EQ(config.session_ttl, 250ms);
  EXPECT_EQ(config.l1_size_gb, 2.5);
  EXPECT_EQ(config.l1_align_bytes, 512u);
  EXPECT_EQ(config.l1_write_ttl, 7s);
  EXPECT_EQ(config.l1_read_ttl, 8s);
  EXPECT_EQ(config.eviction_policy, "IsolatedLRU");
  const std::uint64_t gib = 1ull << 30;
  EXPECT_EQ(
      config.tenant_quotas,
      (std::map<std::string, TenantQuota>{
          {"a", {gib / 2, gib}}, {"with:colon", {0, UINT64_MAX}}, {"", {gib / 4, 5 * gib / 2}}}));
  EXPECT_EQ(config.window_checkpoint_chunks, 8u);
  EXPECT_EQ(config.ready_pinned_ratio, 0.75);
  EXPECT_EQ(config.eviction_trigger_watermark, 0.5);
  EXPECT_EQ(config.eviction_ratio, 0.0);
  EXPECT_EQ(config.max_connections, 9u);
  EXPECT_EQ(config.max_message_bytes, 1024u);
  EXPECT_EQ(config.max_frames, 16u);
  EXPECT_EQ(config.max_unsent_bytes, 4096u);
  EXPECT_EQ(config.max_inflight, 10u);
  EXPECT_EQ(config.handshake_timeout, 500ms);
  EXPECT_EQ(config.heartbeat_interval, 1s);
  EXPECT_EQ(config.heartbeat_timeout, 1001ms);
  EXPECT_EQ(config.shutdown_timeout, 0s);
  EXPECT_EQ(config.instance_id, "node-7");
  EXPECT_EQ(config.log_level, "debug");
  EXPECT_EQ(config.log_format, "json");
  EXPECT_FALSE(config.request_logging);
  EXPECT_TRUE(config.extra_logging);
  EXPECT_TRUE(config.l1_lock_memory);
  EXPECT_EQ(config.extra_logging_interval, 2s);
}

TEST(ServerFlags, WorkerPoolsFollowMaxWorkers) {
  const ServerConfig both = parse({"--max-workers", "4"});
  EXPECT_EQ(both.max_gpu_workers, 4u);
  EXPECT_EQ(both.max_cpu_workers, 4u);
  const ServerConfig one = parse({"--max-cpu-workers", "2", "--max-workers", "4"});
  EXPECT_EQ(one.max_gpu_workers, 4u);
  EXPECT_EQ(one.max_cpu_workers, 2u);
}

TEST(ServerFlags, NoObservabilityStandsAboveItsParts) {
  for (const std::vector<std::string>& args :
       {std::vector<std::string>{"--disable-observability"},
        {"--disable-metrics", "--disable-observability"},
        {"--disable-observability", "--disable-logging=false", "--disable-metrics=false"}}) {
    EXPECT_FALSE(parse(args).metrics);
    EXPECT_FALSE(parse(args).request_logging);
  }
  EXPECT_TRUE(parse({"--disable-observability=false"}).metrics);
  EXPECT_FALSE(parse({"--disable-metrics", "--disable-observability=false"}).metrics);
}

TEST(ServerFlags, EqualsSignNegationAndRepetition) {
  EXPECT_EQ(parse({"--port=6"}).port, 6);
  EXPECT_EQ(parse({"--null-block-id=-7"}).null_block_id, -7);
  EXPECT_EQ(parse({"--port", "6", "--port", "7"}).port, 7);
  EXPECT_FALSE(
      parse({"--separate-object-groups", "--no-separate-object-groups"}).separate_object_groups);
  EXPECT_TRUE(
      parse({"--no-separate-object-groups", "--separate-object-groups"}).separate_object_groups);
}

struct BadValue {
  const char* flag;
  const char* value;
};

class BadValues : public testing::TestWithParam<BadValue> {};

TEST_P(BadValues, NameFlagValueAndRange) {
  const auto [flag, value] = GetParam();
  for (const auto& args : {std::vector<std::string>{flag, value},
                           std::vector<std::string>{std::string(flag) + "=" + value}}) {
    EXPECT_THAT(complaint(args),
                AllOf(StartsWith(std::string(flag) + ": '" + value + "' is not allowed"),
                      HasSubstr("; allowed: ")));
  }
}

INSTANTIATE_TEST_SUITE_P(
    AllRanges, BadValues,
    testing::Values(BadValue{"--transport", "tcp"}, BadValue{"--host", ""},
                    BadValue{"--port", "-1"}, BadValue{"--port", "65536"}, BadValue{"--port", ""},
                    BadValue{"--port", "5 "}, BadValue{"--port", "0x10"}, BadValue{"--port", "5.0"},
                    BadValue{"--port", "99999999999999999999999"}, BadValue{"--io-threads", "0"},
                    BadValue{"--io-threads", "65"}, BadValue{"--chunk-size", "0"},
                    BadValue{"--chunk-size", "65537"}, BadValue{"--null-block-id", "x"},
                    BadValue{"--null-block-id", "9223372036854775808"},
                    BadValue{"--hash-algorithm", "md5"}, BadValue{"--engine-type", "x"},
                    BadValue{"--supported-transfer-mode", "x"}, BadValue{"--max-workers", "0"},
                    BadValue{"--max-gpu-workers", "1025"}, BadValue{"--max-cpu-workers", "-4"},
                    BadValue{"--worker-reap-timeout-seconds", "29.9"},
                    BadValue{"--worker-reap-timeout-seconds", "-1"},
                    BadValue{"--worker-reap-timeout-seconds", "nan"},
                    BadValue{"--worker-reap-timeout-seconds", "inf"},
                    BadValue{"--worker-registration-grace-seconds", "1e99"},
                    BadValue{"--session-ttl-seconds", "0"}, BadValue{"--l1-size-gb", "0"},
                    BadValue{"--l1-size-gb", "-1"}, BadValue{"--l1-size-gb", "nan"},
                    BadValue{"--l1-size-gb", "65537"}, BadValue{"--l1-align-bytes", "256"},
                    BadValue{"--l1-align-bytes", "5000"}, BadValue{"--l1-align-bytes", "4194304"},
                    BadValue{"--l1-write-ttl-seconds", "0"},
                    BadValue{"--l1-write-ttl-seconds", "1.5"},
                    BadValue{"--l1-read-ttl-seconds", "0"}, BadValue{"--eviction-policy", "lru"},
                    BadValue{"--eviction-trigger-watermark", "0"},
                    BadValue{"--eviction-trigger-watermark", "1.01"},
                    BadValue{"--eviction-ratio", "-0.1"}, BadValue{"--eviction-ratio", "1.1"},
                    BadValue{"--max-connections", "0"}, BadValue{"--max-message-bytes", "1023"},
                    BadValue{"--max-frames", "15"}, BadValue{"--max-unsent-bytes", "4095"},
                    BadValue{"--max-inflight", "0"}, BadValue{"--handshake-timeout-seconds", "0"},
                    BadValue{"--heartbeat-interval-seconds", "0.05"},
                    BadValue{"--heartbeat-timeout-seconds", "0"},
                    BadValue{"--shutdown-timeout-seconds", "-1"}, BadValue{"--log-level", "INFO"},
                    BadValue{"--log-format", "xml"}, BadValue{"--extra-logging-interval", "0"}),
    [](const auto& tested) { return "case" + std::to_string(tested.index); });

TEST(BadValues, SwitchesTakeTrueAndFalseOnly) {
  EXPECT_EQ(complaint({"--no-tcp=maybe"}),
            "--no-tcp: 'maybe' is not allowed; allowed: true, false");
  EXPECT_FALSE(parse({"--separate-object-groups=false"}).separate_object_groups);
}

TEST(BadValues, TextsArePrintableAscii) {
  EXPECT_THAT(complaint({"--host", "a\x80"}), StartsWith("--host: 'a?' is not allowed"));
}

TEST(BadValues, OverlongTextsAreRefusedAndShortened) {
  const std::string socket(108, 's');
  EXPECT_THAT(complaint({"--request-socket", socket}), StartsWith("--request-socket: 'sss"));
  EXPECT_LT(complaint({"--host", std::string(100'000, 'h')}).size(), 300u);
}

TEST(BadValues, KnownValuesOfTheReferenceAreRefusedWithAReason) {
  for (const auto& [flag, value] : std::vector<std::pair<std::string, std::string>>{
           {"--transport", "grpc"},
           {"--hash-algorithm", "sha256_cbor"},
           {"--hash-algorithm", "builtin"},
           {"--engine-type", "blend"},
           {"--supported-transfer-mode", "engine_driven"},
           {"--supported-transfer-mode", "auto"}}) {
    EXPECT_THAT(complaint({flag, value}), StartsWith(flag + " " + value + " is not supported: "));
  }
}

TEST(BadValues, AForgottenValueIsSaid) {
  EXPECT_EQ(complaint({"--port"}), "--port needs a value");
  EXPECT_EQ(complaint({"--config"}), "--config needs a value");
  EXPECT_THAT(complaint({"--host", "--port", "5"}), StartsWith("--host: '--port' is not allowed"));
}

TEST(BadValues, QuotasAreReadStrictly) {
  for (const char* text :
       {"a", "a:1", "a:2:1", "a:x:1", "a:0:1,a:0:2", "a:0:1,,b:0:1", "a:-1:1", "a:0:1e9"})
    EXPECT_THAT(complaint({"--eviction-policy", "IsolatedLRU", "--tenant-quotas", text}),
                StartsWith("--tenant-quotas: '"))
        << text;
}

TEST(CrossChecks, QuotasNeedThePolicyThatKeepsThemAndFitThePool) {
  EXPECT_THAT(complaint({"--tenant-quotas", "a:0:1"}),
              StartsWith("--tenant-quotas needs --eviction-policy IsolatedLRU"));
  EXPECT_THAT(complaint({"--eviction-policy", "IsolatedLRU", "--l1-size-gb", "2", "--tenant-quotas",
                         "a:1:,b:1.5:"}),
              StartsWith("--tenant-quotas guarantees more than --l1-size-gb, which is 2"));
}

TEST(CrossChecks, HeartbeatTimeoutIsMoreThanTheInterval) {
  EXPECT_EQ(complaint({"--heartbeat-interval-seconds", "30"}),
            "--heartbeat-timeout-seconds: '30' is not allowed; allowed: more than "
            "--heartbeat-interval-seconds, which is 30");
  EXPECT_EQ(complaint({"--heartbeat-interval-seconds", "29.999"}), "accepted");
  EXPECT_EQ(parse({"--heartbeat-interval-seconds", "0"}).heartbeat_interval, 0s);
  EXPECT_EQ(parse({"--worker-reap-timeout-seconds", "0"}).worker_reap_timeout, 0s);
}

TEST(CrossChecks, RegistrationGraceIsAtLeastTheReapTimeout) {
  EXPECT_THAT(complaint({"--worker-registration-grace-seconds", "119.5"}),
              AllOf(StartsWith("--worker-registration-grace-seconds: '119.500' is not allowed"),
                    HasSubstr("--worker-reap-timeout-seconds, which is 120")));
  EXPECT_EQ(complaint({"--worker-registration-grace-seconds", "120"}), "accepted");
}

TEST(CrossChecks, NoTcpNeedsASocket) {
  EXPECT_THAT(complaint({"--no-tcp"}), HasSubstr("--request-socket"));
  EXPECT_EQ(complaint({"--no-tcp", "--request-socket", "s"}), "accepted");
}

TEST(UnknownWords, AreNamedWithASuggestionWhenOneIsClose) {
  EXPECT_EQ(complaint({"--prot", "5"}), "unknown flag --prot; did you mean --port?");
  EXPECT_EQ(complaint({"--chunksize=5"}), "unknown flag --chunksize; did you mean --chunk-size?");
  EXPECT_EQ(complaint({"--confg", "f"}), "unknown flag --confg; did you mean --config?");
  EXPECT_EQ(complaint({"--utterly-different"}), "unknown flag --utterly-different");
  EXPECT_EQ(complaint({"5555"}), "unexpected argument '5555'");
  EXPECT_EQ(complaint({"--port", "5", "6"}), "unexpected argument '6'");
}

TEST(UnknownWords, CannotForgeASecondLine) {
  EXPECT_EQ(complaint({"--a\nb"}), "unknown flag --a?b");
  EXPECT_THAT(complaint({"--port", "1\n2"}), StartsWith("--port: '1?2'"));
}

}  // namespace
}  // namespace lmcache::app
