#include "sim/generate.hpp"

#include <gmock/gmock.h>

#include <set>

#include "sim/bound.hpp"

namespace lmcache::sim {
namespace {

using testing::HasSubstr;

Trace generate(std::string_view workload, std::uint64_t seed = 1, std::uint32_t tenants = 1) {
  return generate_trace({workload, seed, 2000, 50, tenants}).value();
}

double repeated_share(std::string_view workload) {
  const NumberedPrompts prompts = number_chunks(generate(workload), kTraceBlockTokens, 256);
  return static_cast<double>(repeated_chunks(prompts)) /
         static_cast<double>(repeated_chunks(prompts) + distinct_chunks(prompts));
}

TEST(Generate, EqualSeedsGiveEqualTracesAndOthersOthers) {
  for (const char* workload : {"chat", "agents", "documents", "scans"}) {
    EXPECT_EQ(generate(workload), generate(workload)) << workload;
    EXPECT_NE(generate(workload), generate(workload, 2)) << workload;
    EXPECT_EQ(generate(workload).size(), 2000u) << workload;
  }
}

TEST(Generate, RequestsComeInOrderAndTheirBlocksCoverThem) {
  for (const char* workload : {"chat", "agents", "documents", "scans"}) {
    std::uint64_t last = 0;
    for (const TraceRequest& request : generate(workload)) {
      EXPECT_GE(request.timestamp_ms, last);
      last = request.timestamp_ms;
      ASSERT_GT(request.input_tokens, (request.blocks.size() - 1) * kTraceBlockTokens);
      ASSERT_LE(request.input_tokens, request.blocks.size() * kTraceBlockTokens);
    }
  }
}

/// The same on every machine: figures in the documentation can be repeated.
TEST(Generate, AKnownBeginning) {
  const Trace trace = generate("chat");
  EXPECT_EQ(trace[0].timestamp_ms, 1062u);
  EXPECT_EQ(trace[0].input_tokens, 5897u);
}

TEST(Generate, WorkloadsRepeatAsTheirNamesSay) {
  EXPECT_GT(repeated_share("chat"), 0.7);
  EXPECT_GT(repeated_share("agents"), 0.8);
  EXPECT_GT(repeated_share("documents"), 0.6);
  EXPECT_LT(repeated_share("scans"), 0.6);
  EXPECT_GT(repeated_share("scans"), 0.3);
}

TEST(Generate, PausesAreAsLongAsAsked) {
  TraceOptions options{"chat", 1, 2000, 50};
  options.pause_ms = 60'000;
  options.pause_doublings = 2;
  const Trace trace = generate_trace(options).value();
  EXPECT_GE(trace.front().timestamp_ms, 60'000u);
  EXPECT_LE(trace[49].timestamp_ms, 240'000u);  // when all have sent something
  for (const std::uint32_t bad : {0u, kMostPauseDoublings + 1}) {
    options.pause_doublings = bad;
    EXPECT_FALSE(generate_trace(options)) << bad;
  }
}

TEST(Generate, TenantsGetSalts) {
  std::set<std::string> salts;
  for (const TraceRequest& request : generate("chat", 1, 3)) salts.insert(request.salt);
  EXPECT_EQ(salts.size(), 3u);
}

TEST(Generate, AnUnknownWorkloadIsAnErrorThatListsTheKnownOnes) {
  const auto trace = generate_trace({.workload = "chats"});
  ASSERT_FALSE(trace);
  EXPECT_THAT(trace.error().text, HasSubstr(std::string(workload_names())));
}

}  // namespace
}  // namespace lmcache::sim
