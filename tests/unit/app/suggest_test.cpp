#include "app/suggest.hpp"

#include <gtest/gtest.h>

namespace lmcache::app {
namespace {

const std::vector<std::string> kWords{"--port", "--host", "--chunk-size", "--eviction-ratio",
                                      "--eviction-policy"};

TEST(Suggest, FindsSlipsOfTheFingers) {
  EXPECT_EQ(did_you_mean("--prot", kWords), "; did you mean --port?");
  EXPECT_EQ(did_you_mean("-port", kWords), "; did you mean --port?");
  EXPECT_EQ(did_you_mean("--chunk_size", kWords), "; did you mean --chunk-size?");
  EXPECT_EQ(did_you_mean("--evicton-ratio", kWords), "; did you mean --eviction-ratio?");
}

TEST(Suggest, FindsUnambiguousBeginnings) {
  EXPECT_EQ(did_you_mean("--chunk", kWords), "; did you mean --chunk-size?");
  EXPECT_EQ(did_you_mean("--eviction", kWords), "");
}

TEST(Suggest, IsSilentWhenNothingIsNear) {
  EXPECT_EQ(did_you_mean("--utterly-different", kWords), "");
  EXPECT_EQ(did_you_mean("", kWords), "");
  EXPECT_EQ(did_you_mean(std::string(1'000'000, 'x'), kWords), "");
  EXPECT_EQ(did_you_mean("--port", {}), "");
}

}  // namespace
}  // namespace lmcache::app
