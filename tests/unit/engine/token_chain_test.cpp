#include "engine/token_chain.hpp"

#include "support/golden.hpp"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace lmcache::engine {
namespace {

std::string hex(const ChunkHash& hash) {
  std::string out;
  for (const std::byte b : hash.bytes) {
    constexpr char kDigits[] = "0123456789abcdef";
    out += kDigits[std::to_integer<unsigned>(b) >> 4];
    out += kDigits[std::to_integer<unsigned>(b) & 15];
  }
  return out;
}

wire::TokenListPtr big_endian(const std::vector<std::uint32_t>& tokens) {
  auto out = std::make_shared<wire::TokenIds>();
  for (const auto token : tokens) out->push_back(__builtin_bswap32(token));
  return out;
}

std::vector<std::string> hashes_of(TokenChains& chains, const std::vector<std::uint32_t>& tokens) {
  ChainBuilder builder(chains, big_endian(tokens),
                       static_cast<std::uint32_t>(tokens.size() / chains.chunk_tokens()));
  while (!builder.step()) {
  }
  std::vector<std::string> out;
  for (const auto& hash : builder.hashes()) out.push_back(hex(hash));
  return out;
}

/// Hashed from the start, whatever was seen before.
std::vector<std::string> fresh_hashes(const std::vector<std::uint32_t>& tokens) {
  TokenChains nothing_known(16, 1 << 20);
  return hashes_of(nothing_known, tokens);
}

std::vector<std::uint32_t> counting(std::uint32_t from, std::size_t n) {
  std::vector<std::uint32_t> out(n);
  for (std::size_t i = 0; i < n; ++i) out[i] = from + static_cast<std::uint32_t>(i);
  return out;
}

TEST(TokenChain, AgreesWithTheClientsVectors) {
  const auto file = test::load_json("token_hash");
  EXPECT_EQ(hex(none_hash()), file.at("none_hash").get<std::string>());
  for (const auto& one : file.at("cases")) {
    if (one.at("start").get<int>() != 0 || !one.at("end").is_null()) continue;
    TokenChains chains(one.at("chunk_size").get<std::uint32_t>(), 1 << 20);
    EXPECT_EQ(hashes_of(chains, one.at("tokens").get<std::vector<std::uint32_t>>()),
              one.at("chunk_hashes").get<std::vector<std::string>>())
        << one.at("case");
  }
  TokenChains chains(256, 1 << 20);
  EXPECT_EQ(hashes_of(chains, counting(0, 256)).at(0),
            "084547b6c40ed5b05ba8cd0305db5bf74d5617673948d9ed193ab7d6cbc484d4");
}

TEST(TokenChain, AGrowingSequenceKeepsItsHashesAndEqualsAFreshOne) {
  TokenChains chains(16, 1 << 20);
  for (const std::size_t n : {16u, 40u, 160u, 96u, 320u}) {
    EXPECT_EQ(hashes_of(chains, counting(7, n)), fresh_hashes(counting(7, n))) << n;
  }
  EXPECT_EQ(chains.size(), 1u);
}

// What was seen before must never shine through: the hashes follow the tokens, wherever they part.
TEST(TokenChain, OtherTokensAreHashedAnew) {
  TokenChains chains(16, 1 << 20);
  auto tokens = counting(0, 128);
  hashes_of(chains, tokens);
  for (const std::size_t at : {127u, 64u, 63u, 15u, 0u}) {
    tokens[at] ^= 0x10000u;
    EXPECT_EQ(hashes_of(chains, tokens), fresh_hashes(tokens)) << at;
  }
}

TEST(TokenChain, ATurnOfAConversationFindsTheLastOne) {
  TokenChains chains(256, 1 << 26);
  auto tokens = counting(0, 256 * 1000);
  hashes_of(chains, tokens);
  hashes_of(chains, counting(0, 256 * 8));  // another one that begins alike must not hide it
  for (std::uint32_t i = 0; i < 256 * 500; ++i) tokens.push_back(i * 7);
  ChainBuilder grown(chains, big_endian(tokens), 1500);
  EXPECT_TRUE(grown.step()) << "500 new chunks are one step; all 1500 would be two";
  tokens.resize(256 * 1500);
  ChainBuilder again(chains, big_endian(tokens), 1500);
  EXPECT_TRUE(again.step());
  EXPECT_EQ(again.hashes().data(), grown.hashes().data()) << "the same hashes are kept twice";
  EXPECT_LE(chains.size(), 2u) << "what the grown chain contains was kept beside it";
}

/// Whoever can make two chunks of one mark takes the other's hashes out of the table, over and
/// over.
TEST(TokenChain, MarksCannotBeForeseen) {
  // Without a key this was the mark. Two beginnings after which half of it is equal are soon found,
  // and the last token makes up for the other half.
  const auto add = [](std::uint64_t mark, std::uint32_t token) {
    mark = (mark ^ token) * 0x9e3779b97f4a7c15u;
    return mark ^ mark >> 32;
  };
  using Beginning = std::pair<std::uint32_t, std::uint32_t>;
  const auto mark = [&](const Beginning& b) { return add(add(0, b.first), b.second); };
  std::map<std::uint64_t, Beginning> seen;  // by the half
  std::mt19937 random(1);
  Beginning one, other;
  for (int i = 0; i < 1'000'000 && one == other; ++i) {
    one = {static_cast<std::uint32_t>(random()), static_cast<std::uint32_t>(random())};
    other = seen.try_emplace(mark(one) >> 32, one).first->second;
  }
  ASSERT_NE(one, other);
  const auto last = static_cast<std::uint32_t>(mark(one) ^ mark(other));
  const auto list = [](const Beginning& b, std::uint32_t end) {
    return std::make_shared<wire::TokenIds>(wire::TokenIds{b.first, b.second, end});
  };
  TokenChains chains(3, 1 << 20);
  const auto hashes = [&](const auto& tokens) {
    ChainBuilder builder(chains, tokens, 1);
    EXPECT_TRUE(builder.step());
    return builder.hashes().data();
  };
  const auto* known = hashes(list(one, 0));
  static_cast<void>(hashes(list(other, last)));
  EXPECT_EQ(hashes(list(one, 0)), known);
}

TEST(TokenChain, BytesAreBoundedAndOldChainsGoFirst) {
  TokenChains chains(16, 20000);
  for (int i = 0; i < 100; ++i) hashes_of(chains, counting(static_cast<std::uint32_t>(i), 160));
  EXPECT_LE(chains.bytes(), 20000u);
  EXPECT_GT(chains.size(), 3u);
  EXPECT_LT(chains.size(), 30u);
  chains.expire(Clock::now() + std::chrono::hours(1));
  EXPECT_EQ(chains.size(), 0u);
  EXPECT_EQ(chains.bytes(), 0u);
}

TEST(TokenChain, LongSequencesTakeSeveralSteps) {
  TokenChains chains(256, 1 << 26);
  const auto tokens = counting(0, 1u << 20);
  ChainBuilder builder(chains, big_endian(tokens), 4096);
  int steps = 1;
  while (!builder.step()) ++steps;
  EXPECT_GE(steps, 4);
  EXPECT_EQ(builder.hashes().size(), 4096u);
  ChainBuilder again(chains, big_endian(tokens), 4096);
  EXPECT_TRUE(again.step()) << "known hashes were computed again";
}

TEST(TokenChain, NoChunksIsNoWork) {
  TokenChains chains(256, 1 << 20);
  EXPECT_TRUE(hashes_of(chains, counting(0, 255)).empty());
  EXPECT_EQ(chains.size(), 0u);
}

}  // namespace
}  // namespace lmcache::engine
