// The promise for models whose state is mostly windowed: a prompt of 1,048,576 tokens of
// DeepSeek-V4-Flash in a pool of 8 GB, under the policy that is the default and under LRU.
#include <gtest/gtest.h>
#include <lmcache/cache.hpp>

#include <cstring>

#include "sim/address_range.hpp"
#include "sim/model_layout.hpp"

namespace lmcache::sim {
namespace {

constexpr std::size_t kChunks = 1'048'576 / kModelChunkTokens;

class LongPrompt : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    for (std::size_t i = 0; i < kChunks; ++i) std::memcpy(chain_[i].bytes.data(), &i, sizeof i);
  }

  bool store(std::size_t first, std::size_t last) {
    const std::vector<std::vector<bool>> wanted(2, std::vector<bool>(last - first, true));
    auto ticket = cache_.reserve(keyspace_, 0, layout_, std::span(chain_).first(last),
                                 static_cast<std::uint32_t>(first), wanted);
    if (ticket) cache_.commit(std::move(*ticket));
    return ticket.has_value();
  }

  /// From the longest down: a lookup makes where it would have ended an end.
  void expect_servable() {
    for (std::size_t length = kChunks; length > 0; --length) {
      const std::uint32_t hit =
          cache_.lookup(keyspace_, std::span(chain_).first(length), std::span(&layout_, 1))
              .chunks();
      ASSERT_LE(length - hit, 32u) << length;
      if (length == kChunks) {
        ASSERT_EQ(hit, kChunks);
      }
    }
  }

  AddressRange range_{8'000'000'000};
  Cache cache_{range_.memory(), {.policy = GetParam()}};
  Keyspace keyspace_{"model", "", 1};
  LayoutPtr layout_ = model_layout("deepseek-v4-flash").value();
  std::vector<ChunkHash> chain_ = std::vector<ChunkHash>(kChunks);
};

TEST_P(LongPrompt, StoredInStepsIsServableEverywhereUpTo32Chunks) {
  for (std::size_t i = 0; i < kChunks; i += 32) ASSERT_TRUE(store(i, i + 32)) << i;
  expect_servable();
}

TEST_P(LongPrompt, StoredAtOnceIsServableEverywhereUpTo32Chunks) {
  ASSERT_TRUE(store(0, kChunks));
  expect_servable();
}

TEST_P(LongPrompt, StoredChunkByChunkIsServableEverywhereUpTo32Chunks) {
  for (std::size_t i = 0; i < kChunks; ++i) ASSERT_TRUE(store(i, i + 1)) << i;
  expect_servable();
}

INSTANTIATE_TEST_SUITE_P(Policies, LongPrompt, testing::Values("LRU", "LFU"));

}  // namespace
}  // namespace lmcache::sim
