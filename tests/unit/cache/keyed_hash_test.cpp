#include <lmcache/keyed_hash.hpp>

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace lmcache::cache {
namespace {

TEST(KeyedHash, IsTheSameForOneKeyAndAnotherForAnother) {
  const KeyedHash one(1, 2), other(1, 3);
  for (const char* text : {"", "a", "exactly8", "longer than a word"}) {
    EXPECT_EQ(one(text), KeyedHash(1, 2)(text)) << text;
    EXPECT_NE(one(text), other(text)) << text;
    EXPECT_EQ(KeyedHash()(text), KeyedHash()(text)) << "one key in a process";
  }
}

TEST(KeyedHash, TellsApartLengthsAndWhatCameBefore) {
  const KeyedHash hash(random_word(), random_word());
  std::set<std::uint64_t> all;
  for (std::size_t length = 0; length < 40; ++length)
    for (std::uint64_t before = 0; before < 40; ++before)
      all.insert(hash(std::string(length, '\0'), before));
  EXPECT_EQ(all.size(), 1600u);
}

TEST(KeyedHash, SpreadsNeighboursOverTheLowBits) {
  const KeyedHash hash;
  std::set<std::uint64_t> low;
  for (std::uint64_t n = 0; n < 1024; ++n) low.insert(hash(n) % 1024);
  EXPECT_GT(low.size(), 500u);
}

}  // namespace
}  // namespace lmcache::cache
