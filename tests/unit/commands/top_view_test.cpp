#include "commands/top_view.hpp"
#include "commands/human.hpp"

#include <gmock/gmock.h>

#include <sstream>

namespace lmcache::commands {
namespace {

using testing::HasSubstr;
using testing::Not;

Activity busy() {
  Activity activity;
  activity.seconds = 2;
  activity.pool = {25.0 * 1024 * 1024, 50.0 * 1024 * 1024, 0, 25.0 * 1024 * 1024};
  activity.hit_ratio = 0.5;
  activity.engines.push_back({"7", "model\x1b[31m", 1, 2, 3, 4});
  activity.operations.push_back({"store", 10, 0.0125, 0.5});
  return activity;
}

TEST(TopView, ThePoolIsABarOfItsStates) {
  EXPECT_THAT(as_text({"http://h:1", "LFU", true}, busy()),
              HasSubstr("L1 100.0 MiB, LFU  [" + std::string(10, '#') + std::string(20, '=') +
                        std::string(10, '.') + "]"));
  EXPECT_THAT(as_text({}, {}), HasSubstr("[" + std::string(40, '.') + "]")) << "of no size";
}

TEST(TopView, TextHasRatesOnlyAfterAnInterval) {
  const std::string text = as_text({"http://h:1", "LFU", false}, busy());
  EXPECT_THAT(text, HasSubstr("UNHEALTHY"));
  EXPECT_THAT(text, HasSubstr("Hit rate 50.0%"));
  EXPECT_THAT(text, HasSubstr("12.5 ms   500.0 ms"));
  Activity first = busy();
  first.seconds = 0;
  EXPECT_THAT(as_text({"u", "LFU", true}, first), Not(HasSubstr("Hit rate")));
}

TEST(TopView, FitsIn80Columns) {
  Activity much = busy();
  constexpr double kTiB = 1024.0 * 1024 * 1024 * 1024;
  much.pool = {kTiB, kTiB, kTiB, kTiB};
  much.hit_ratio = 1;
  much.stored_gb_per_second = much.retrieved_gb_per_second = 999.99;
  much.evicted_objects_per_second = much.failures_per_second = 99'999.9;
  much.objects = 9'999'999;
  much.sessions = 99'999;
  much.workers = 64;
  much.connections = much.connections_paused = 4096;
  much.engines = {{"-9223372036854775807", "deepseek-ai/DeepSeek-V4-Flash", 99'999.9, 99'999.9,
                   123.45, 234.56}};
  much.operations = {{"register_kv_cache_engine_driven_context", 99'999.9, 0.5, 0.5}};
  const std::string text = as_text({"http://127.0.0.1:8080", "IsolatedLRU", true}, much);
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 80u) << line;
  EXPECT_THAT(text, HasSubstr("free"));
  EXPECT_THAT(text, HasSubstr(" DeepSeek-V4-Flash "));
  EXPECT_THAT(text, HasSubstr("234.56\n"));
}

TEST(TopView, WhatAServerSendsCannotDriveTheTerminal) {
  EXPECT_THAT(as_text({"u", "LFU\x1b[2J", true}, busy()), Not(HasSubstr("\x1b")));
}

TEST(TopView, JsonHasEverything) {
  const Json json = as_json({"u", "LFU", true}, busy());
  EXPECT_EQ(json["l1"]["pinned_bytes"], 25.0 * 1024 * 1024);
  EXPECT_EQ(json["hit_ratio"], 0.5);
  EXPECT_EQ(json["engines"][0]["retrieve_gb_per_second"], 4);
  EXPECT_EQ(json["operations"][0]["p99_seconds"], 0.5);
  EXPECT_EQ(as_json({}, {})["hit_ratio"], nullptr);
}

TEST(TopView, IsCutToTheTerminal) {
  EXPECT_EQ(cut_to("abc\nde\nf\n", 2, 2), "ab\nde");
  EXPECT_EQ(cut_to("abc\nde\nf\n", 9, 9), "abc\nde\nf");
  EXPECT_EQ(cut_to("", 2, 2), "");
}

TEST(Human, QuantitiesHaveAUnitThatFits) {
  EXPECT_EQ(duration_text(0.00085), "850 us");
  EXPECT_EQ(duration_text(0.0123), "12.3 ms");
  EXPECT_EQ(duration_text(1.5), "1.50 s");
  EXPECT_EQ(bytes_text(3 << 20), "3.0 MiB");
  EXPECT_EQ(bytes_text(1.25 * (1 << 30)), "1.25 GiB");
}

}  // namespace
}  // namespace lmcache::commands
