#include "commands/rates.hpp"

#include <gmock/gmock.h>

namespace lmcache::commands {
namespace {

Scrape scrape(const std::string& text) {
  return Scrape(parse_exposition(text).value());
}

Activity between(const std::string& before, const std::string& after, double seconds = 2) {
  return activity_between(scrape(before), scrape(after), seconds);
}

TEST(Activity, ThePoolsStatesAddUpToIt) {
  const Activity activity = state_of(
      scrape("lmcache_mp_l1_memory_total_bytes{backend=\"dram\"} 1000\n"
             "lmcache_mp_l1_memory_usage_bytes{backend=\"dram\"} 600\n"
             "lmcache_mp_l1_staging_bytes{backend=\"dram\"} 50\n"
             "lmcache_mp_l1_model_bytes{model_name=\"a\",state=\"resident\"} 550\n"
             "lmcache_mp_l1_model_bytes{model_name=\"a\",state=\"pinned\"} 100\n"
             "lmcache_mp_l1_model_bytes{model_name=\"b\",state=\"pinned\"} 20\n"
             "lmcache_mp_sessions 3\nlmcache_mp_connections 4\nlmcache_mp_connections_paused 1\n"));
  EXPECT_EQ(activity.pool.pinned, 120);
  EXPECT_EQ(activity.pool.reserved, 50);
  EXPECT_EQ(activity.pool.resident, 430);
  EXPECT_EQ(activity.pool.free, 400);
  EXPECT_EQ(activity.sessions, 3);
  EXPECT_EQ(activity.connections, 4);
  EXPECT_EQ(activity.connections_paused, 1);
  EXPECT_EQ(activity.seconds, 0);
}

TEST(Activity, CountersBecomeRates) {
  const Activity activity = between(
      "lmcache_mp_copied_bytes_total{direction=\"store\"} 1e9\n"
      "lmcache_mp_copied_bytes_total{direction=\"retrieve\"} 5e9\n"
      "lmcache_mp_l1_evicted_chunks_total{l1_tag=\"_default\"} 10\n"
      "lmcache_mp_lookup_requested_tokens_total{model_name=\"a\"} 100\n"
      "lmcache_mp_lookup_hit_tokens_total{model_name=\"a\"} 100\n",
      "lmcache_mp_copied_bytes_total{direction=\"store\"} 4e9\n"
      "lmcache_mp_copied_bytes_total{direction=\"retrieve\"} 5e9\n"
      "lmcache_mp_l1_evicted_chunks_total{l1_tag=\"_default\"} 16\n"
      "lmcache_mp_lookup_requested_tokens_total{model_name=\"a\"} 300\n"
      "lmcache_mp_lookup_hit_tokens_total{model_name=\"a\"} 150\n"
      "lmcache_mp_request_failures_total{operation=\"store\",cause=\"no_memory\"} 5\n");
  EXPECT_DOUBLE_EQ(activity.stored_gb_per_second, 1.5);
  EXPECT_EQ(activity.retrieved_gb_per_second, 0);
  EXPECT_EQ(activity.evicted_objects_per_second, 3);
  EXPECT_EQ(activity.hit_ratio, 0.25);
  EXPECT_EQ(activity.failures_per_second, 2.5);
}

// The server's counters are read one after the other.
TEST(Activity, ALookupBetweenTwoReadingsDoesNotHitMoreThanItAsked) {
  const auto told = [](const char* asked, const char* hit) {
    return std::string("lmcache_mp_lookup_requested_tokens_total{model_name=\"a\"} ") + asked +
           "\nlmcache_mp_lookup_hit_tokens_total{model_name=\"a\"} " + hit + "\n";
  };
  EXPECT_EQ(between(told("100", "100"), told("300", "310")).hit_ratio, 1);
}

TEST(Activity, WithoutLookupsThereIsNoHitRatio) {
  const std::string same = "lmcache_mp_lookup_requested_tokens_total{model_name=\"a\"} 100\n";
  EXPECT_EQ(between(same, same).hit_ratio, std::nullopt);
}

TEST(Activity, ARestartedServersCountersStartAgain) {
  EXPECT_EQ(
      between("lmcache_mp_l1_evicted_chunks_total 1000\n", "lmcache_mp_l1_evicted_chunks_total 8\n")
          .evicted_objects_per_second,
      4);
}

std::string histogram(const std::string& operation, int to_1ms, int to_10ms, int all, double sum) {
  const std::string name = "lmcache_mp_request_work_seconds",
                    label = "{operation=\"" + operation + "\"";
  const auto bucket = [&](const char* bound, int count) {
    return name + "_bucket" + label + ",le=\"" + bound + "\"} " + std::to_string(count) + "\n";
  };
  return bucket("0.001", to_1ms) + bucket("0.01", to_10ms) + bucket("+Inf", all) + name + "_sum" +
         label + "} " + std::to_string(sum) + "\n" + name + "_count" + label + "} " +
         std::to_string(all) + "\n";
}

TEST(Activity, OperationsHaveTheMeanAndP99OfTheInterval) {
  const Activity activity =
      between(histogram("store", 100, 100, 100, 0.05) + histogram("lookup", 5, 5, 5, 0.001) +
                  histogram("ping", 1, 1, 1, 0.1),
              histogram("store", 100, 200, 200, 0.55) + histogram("lookup", 205, 205, 205, 0.101) +
                  histogram("ping", 1, 1, 1, 0.1));
  ASSERT_EQ(activity.operations.size(), 2u) << "ping was not asked for";
  const OperationActivity& store = activity.operations[0];
  EXPECT_EQ(store.operation, "store") << "the slowest first";
  EXPECT_EQ(store.per_second, 50);
  EXPECT_DOUBLE_EQ(store.mean_seconds, 0.005);
  EXPECT_NEAR(store.p99_seconds, 0.001 + 0.99 * 0.009, 1e-9);
  EXPECT_NEAR(activity.operations[1].p99_seconds, 0.00099, 1e-9);
}

TEST(Activity, AQuantileBeyondTheLastBoundIsThatBound) {
  const Activity activity =
      between(histogram("store", 0, 0, 0, 0), histogram("store", 0, 1, 100, 99));
  EXPECT_EQ(activity.operations.at(0).p99_seconds, 0.01);
}

std::string transfers(const std::string& metric, const std::string& engine, int count) {
  return "lmcache_mp_l0_l1_" + metric +
         "_throughput_GB_per_second_count{device=\"cpu\",engine_id=\"" + engine +
         "\",model_name=\"m\"} " + std::to_string(count) + "\n";
}

std::string bytes(const std::string& engine, const std::string& direction, const char* value) {
  return std::string(kEngineBytes) + "{direction=\"" + direction + "\",engine_id=\"" + engine +
         "\",model_name=\"m\"} " + value + "\n";
}

TEST(Activity, EnginesHaveTheirOwnRatesAndAreLeftOutWhenIdle) {
  const Activity activity =
      between(transfers("store", "1", 2) + transfers("load", "1", 0) + transfers("store", "2", 1) +
                  transfers("load", "2", 0) + bytes("1", "store", "1e9") +
                  bytes("1", "retrieve", "0") + bytes("2", "store", "5e9"),
              transfers("store", "1", 6) + transfers("load", "1", 2) + transfers("store", "2", 1) +
                  transfers("load", "2", 0) + bytes("1", "store", "4e9") +
                  bytes("1", "retrieve", "2e9") + bytes("2", "store", "5e9"));
  ASSERT_EQ(activity.engines.size(), 1u);
  const EngineActivity& engine = activity.engines[0];
  EXPECT_EQ(engine.engine, "1");
  EXPECT_EQ(engine.model, "m");
  EXPECT_EQ(engine.stores_per_second, 2);
  EXPECT_EQ(engine.store_gb_per_second, 1.5) << "all bytes of the interval by its length";
  EXPECT_EQ(engine.retrieves_per_second, 1);
  EXPECT_EQ(engine.retrieve_gb_per_second, 1);
}

TEST(Activity, AnEngineThatRegisteredAnewCountsFromThen) {
  const Activity activity =
      between(bytes("1", "store", "8e9"), bytes("1", "store", "2e9") + bytes("2", "store", "4e9"));
  ASSERT_EQ(activity.engines.size(), 2u);
  EXPECT_EQ(activity.engines[0].store_gb_per_second, 1);
  EXPECT_EQ(activity.engines[1].store_gb_per_second, 2) << "it was not there before";
}

TEST(Activity, AnEngineThatHasGoneKeepsItsTransfers) {
  const Activity activity =
      between(transfers("store", "1", 2) + bytes("1", "store", "8e9"), transfers("store", "1", 4));
  ASSERT_EQ(activity.engines.size(), 1u);
  EXPECT_EQ(activity.engines[0].stores_per_second, 1);
  EXPECT_EQ(activity.engines[0].store_gb_per_second, 0);
}

}  // namespace
}  // namespace lmcache::commands
