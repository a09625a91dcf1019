#include "wire/known_tokens.hpp"

#include "support/pack.hpp"
#include "wire/requests.hpp"

#include <gtest/gtest.h>

#include <numeric>
#include <thread>

namespace lmcache::wire {
namespace {

using test::Pack;

std::vector<std::uint32_t> counting(std::uint32_t from, std::size_t n) {
  std::vector<std::uint32_t> out(n);
  std::iota(out.begin(), out.end(), from);
  return out;
}

Bytes encoded(const std::vector<std::uint32_t>& tokens) {
  Pack pack;
  pack.array(tokens.size());
  for (const auto token : tokens) pack.token(token);
  return pack.bytes();
}

TokenListPtr list(const std::vector<std::uint32_t>& tokens) {
  return std::make_shared<const TokenIds>(tokens);
}

TEST(KnownTokens, FindsAListByItsBytesWhateverFollowsThem) {
  KnownTokens known(1 << 20);
  const auto tokens = list(counting(70000, 2000));
  const Bytes bytes = encoded(*tokens);
  EXPECT_EQ(known.find(bytes).tokens, nullptr);
  known.put(bytes, tokens);
  Bytes longer = bytes;
  longer.resize(bytes.size() + 100);
  const auto match = known.find(longer);
  EXPECT_EQ(match.tokens, tokens);
  EXPECT_EQ(match.bytes, bytes.size());
  EXPECT_EQ(known.find(ByteView(bytes).first(bytes.size() - 1)).tokens, nullptr);
}

TEST(KnownTokens, AListIsKeptOnce) {
  KnownTokens known(1 << 20);
  const auto tokens = counting(70000, 2000);
  known.put(encoded(tokens), list(tokens));
  const std::uint64_t once = known.bytes();
  known.put(encoded(tokens), list(tokens));  // another rank had decoded it as well
  EXPECT_EQ(known.bytes(), once);
}

TEST(KnownTokens, OneOtherByteIsAnotherList) {
  KnownTokens known(1 << 20);
  const auto tokens = list(counting(70000, 2000));
  const Bytes bytes = encoded(*tokens);
  known.put(bytes, tokens);
  for (const std::size_t at :
       {std::size_t{7}, std::size_t{200}, bytes.size() / 2, bytes.size() - 1}) {
    Bytes other = bytes;
    other[at] ^= std::byte{1};
    EXPECT_EQ(known.find(other).tokens, nullptr) << at;
  }
}

TEST(KnownTokens, ListsThatBeginAlikeAreToldApart) {
  KnownTokens known(1 << 20);
  std::vector<Bytes> all;
  for (std::uint32_t i = 0; i < 6; ++i) {
    auto tokens = counting(70000, 2000);
    tokens[1000 + i] = 90000 + i;
    all.push_back(encoded(tokens));
    known.put(all.back(), list(tokens));
  }
  for (std::uint32_t i = 0; i < 6; ++i) {
    const auto match = known.find(all[i]);
    ASSERT_NE(match.tokens, nullptr) << i;
    EXPECT_EQ((*match.tokens)[1000 + i], 90000 + i);
  }
}

TEST(KnownTokens, BytesAreBoundedAndWhatWasUsedLastStays) {
  KnownTokens known(100'000);
  const Bytes first = encoded(counting(70000, 1000));
  known.put(first, list(counting(70000, 1000)));
  for (std::uint32_t i = 1; i < 100; ++i) {
    const auto tokens = counting(70000 + i, 1000);
    known.put(encoded(tokens), list(tokens));
    EXPECT_NE(known.find(first).tokens, nullptr);
    EXPECT_LE(known.bytes(), 100'000u);
  }
  for (std::uint32_t i = 0; i < 100; ++i) {  // all in one bucket
    auto tokens = counting(70000, 1000);
    tokens.back() = i;
    known.put(encoded(tokens), list(tokens));
  }
  EXPECT_LE(known.bytes(), 100'000u);
  known.expire(KnownTokens::Clock::now() + std::chrono::hours(1));
  EXPECT_EQ(known.bytes(), 0u);
  EXPECT_EQ(known.find(first).tokens, nullptr);
}

TEST(KnownTokens, ShortListsAndListsBeyondTheLimitAreNotKept) {
  KnownTokens known(10'000);
  known.put(encoded(counting(1, 100)), list(counting(1, 100)));
  known.put(encoded(counting(70000, 4000)), list(counting(70000, 4000)));
  EXPECT_EQ(known.bytes(), 0u);
}

TEST(KnownTokens, ThreadsMayUseItTogether) {
  KnownTokens known(200'000);
  std::vector<std::thread> threads;
  for (std::uint32_t t = 0; t < 4; ++t) {
    threads.emplace_back([&known, t] {
      for (std::uint32_t i = 0; i < 200; ++i) {
        const auto tokens = counting(70000 + (i + t) % 9, 1000);
        const Bytes bytes = encoded(tokens);
        if (const auto match = known.find(bytes); match.tokens) {
          EXPECT_EQ(*match.tokens, tokens);
        } else {
          known.put(bytes, list(tokens));
        }
      }
    });
  }
  for (auto& thread : threads) thread.join();
}

}  // namespace
}  // namespace lmcache::wire
