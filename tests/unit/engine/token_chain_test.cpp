#include "engine/token_chain.hpp"

#include "support/golden.hpp"

#include <gtest/gtest.h>

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
