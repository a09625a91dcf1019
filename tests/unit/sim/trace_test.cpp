#include "sim/trace.hpp"

#include <gmock/gmock.h>

#include <set>
#include <sstream>

namespace lmcache::sim {
namespace {

using testing::HasSubstr;

Result<Trace> read(const std::string& text) {
  std::istringstream in(text);
  return read_trace(in);
}

TEST(Trace, ReadsTheMooncakeFormInOrderOfTime) {
  const auto trace = read(
      R"({"timestamp": 27482, "input_length": 6955, "output_length": 52, "hash_ids": [46, 47]})"
      "\n\n"
      R"({"timestamp": 5.5, "input_length": 700, "output_length": 0, "hash_ids": [1], "more": {}})");
  ASSERT_TRUE(trace) << trace.error().text;
  ASSERT_EQ(trace->size(), 2u);
  EXPECT_EQ((*trace)[0], (TraceRequest{5, 700, 0, {1}, ""}));
  EXPECT_EQ((*trace)[1], (TraceRequest{27482, 6955, 52, {46, 47}, ""}));
}

TEST(Trace, WhatIsWrittenReadsBack) {
  const Trace trace{{1, 600, 20, {5, UINT64_MAX}, ""}, {2, 512, 0, {7}, "tenant"}};
  std::ostringstream out;
  write_trace(out, trace);
  EXPECT_EQ(read(out.str()).value(), trace);
}

TEST(Trace, AnythingElseIsAnErrorWithItsLine) {
  const std::string good =
      R"({"timestamp": 1, "input_length": 2, "output_length": 3, "hash_ids": []})";
  for (
      const char* line :
      {"[]", "{", "{}",
       R"({"timestamp": -1, "input_length": 2, "output_length": 3, "hash_ids": []})",
       R"({"timestamp": 1, "input_length": 1e18, "output_length": 3, "hash_ids": []})",
       R"({"timestamp": 1, "input_length": 2, "output_length": "3", "hash_ids": []})",
       R"({"timestamp": 1, "input_length": 2, "output_length": 3, "hash_ids": 7})",
       R"({"timestamp": 1, "input_length": 2, "output_length": 3, "hash_ids": [1.5]})",
       R"({"timestamp": 1, "input_length": 2, "output_length": 3, "hash_ids": [], "cache_salt": 1})"}) {
    const auto trace = read(good + "\n" + line);
    ASSERT_FALSE(trace) << line;
    EXPECT_THAT(trace.error().text, HasSubstr("line 2")) << line;
  }
  EXPECT_FALSE(read("\n"));
}

TEST(ChainOf, HasAHashForEveryWholeChunkThatItsBlocksName) {
  const TraceRequest request{0, 1200, 0, {8, 9, 10}, ""};
  EXPECT_EQ(chain_of(request, 512, 256).size(), 4u);
  EXPECT_EQ(chain_of(request, 512, 1024).size(), 1u);
  EXPECT_EQ(chain_of(request, 256, 256).size(), 3u);  // three blocks of 256, whatever it claims
  std::set<std::array<std::byte, 32>> hashes;
  for (const ChunkHash& hash : chain_of(request, 512, 256)) hashes.insert(hash.bytes);
  EXPECT_EQ(hashes.size(), 4u);
}

TEST(ChainOf, PromptsShareChunksAsTheyShareBlocks) {
  const auto a = chain_of({0, 2000, 0, {1, 2, 3, 4}, ""}, 512, 256);
  const auto b = chain_of({0, 2000, 0, {1, 2, 5, 6}, ""}, 512, 256);
  for (std::size_t i = 0; i < 7; ++i) EXPECT_EQ(a[i] == b[i], i < 4) << i;
}

}  // namespace
}  // namespace lmcache::sim
