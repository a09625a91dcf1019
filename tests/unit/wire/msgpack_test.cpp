#include "support/pack.hpp"
#include "wire/msgpack_reader.hpp"
#include "wire/msgpack_writer.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <random>

namespace lmcache::wire {
namespace {

using test::Pack;

TEST(MsgpackReader, ReadsEveryIntegerFormAndRefusesWhatDoesNotFit) {
  const std::vector<std::int64_t> values{0,
                                         1,
                                         127,
                                         128,
                                         255,
                                         256,
                                         65535,
                                         65536,
                                         4294967295,
                                         4294967296,
                                         -1,
                                         -32,
                                         -33,
                                         -128,
                                         -129,
                                         -32768,
                                         -32769,
                                         -2147483648ll,
                                         -2147483649ll,
                                         std::numeric_limits<std::int64_t>::max(),
                                         std::numeric_limits<std::int64_t>::min()};
  for (const auto value : values) {
    const Bytes bytes = MsgpackWriter().integer(value).bytes();
    MsgpackReader in(bytes);
    std::int64_t out = 0;
    EXPECT_TRUE(in.read_int(out) && in.finished()) << value;
    EXPECT_EQ(out, value);
  }
  const Bytes wide = Pack().raw({0xcf, 0x80, 0, 0, 0, 0, 0, 0, 0});
  MsgpackReader in(wide);
  std::int64_t out = 0;
  EXPECT_FALSE(in.read_int(out));
  EXPECT_TRUE(in.failed());
}

TEST(MsgpackWriter, WritesWhatRequestsHave) {
  for (const std::uint32_t count : {0u, 15u, 16u, 65535u, 65536u}) {
    MsgpackWriter out;
    out.map(count);
    for (std::uint32_t i = 0; i < count; ++i) out.integer(i).nil();
    const Bytes bytes = out.bytes();
    MsgpackReader in(bytes);
    std::size_t read = 0;
    EXPECT_TRUE(in.read_map(read)) << count;
    EXPECT_EQ(read, count);
  }
  for (const std::size_t size : {0u, 255u, 256u, 65536u}) {
    const Bytes bytes = MsgpackWriter().ext(-5, Bytes(size)).real(0.1).bytes();
    MsgpackReader in(bytes);
    std::int8_t type = 0;
    ByteView data;
    double real = 0;
    EXPECT_TRUE(in.read_ext(type, data) && in.read_double(real) && in.finished()) << size;
    EXPECT_EQ(type, -5);
    EXPECT_EQ(data.size(), size);
    EXPECT_EQ(real, 0.1);
  }
  EXPECT_EQ(MsgpackWriter().integers(std::vector{1, -1, 300}).bytes(),
            Pack().raw({0x93, 0x01, 0xff, 0xcd, 0x01, 0x2c}).bytes());
}

TEST(MsgpackWriter, UsesTheShortestForms) {
  const auto size = [](std::int64_t v) { return MsgpackWriter().integer(v).bytes().size(); };
  EXPECT_EQ(size(127), 1u);
  EXPECT_EQ(size(128), 2u);
  EXPECT_EQ(size(256), 3u);
  EXPECT_EQ(size(65536), 5u);
  EXPECT_EQ(size(1ll << 32), 9u);
  EXPECT_EQ(size(-32), 1u);
  EXPECT_EQ(size(-33), 2u);
  EXPECT_EQ(size(-129), 3u);
  EXPECT_EQ(MsgpackWriter().string(std::string(31, 'x')).bytes().size(), 32u);
  EXPECT_EQ(MsgpackWriter().string(std::string(32, 'x')).bytes().size(), 34u);
  EXPECT_EQ(MsgpackWriter().string(std::string(256, 'x')).bytes().size(), 259u);
  EXPECT_EQ(MsgpackWriter().string(std::string(65536, 'x')).bytes().size(), 65541u);
  EXPECT_EQ(MsgpackWriter().binary(Bytes(255)).bytes().size(), 257u);
  EXPECT_EQ(MsgpackWriter().binary(Bytes(256)).bytes().size(), 259u);
  EXPECT_EQ(MsgpackWriter().array(15).bytes().size(), 1u);
  EXPECT_EQ(MsgpackWriter().array(16).bytes().size(), 3u);
  EXPECT_EQ(MsgpackWriter().array(65536).bytes().size(), 5u);
}

TEST(MsgpackReader, TokensComeOutBigEndianInAllForms) {
  const std::vector<std::uint32_t> tokens{0, 5, 127, 128, 255, 256, 65535, 65536, 0xffffffff};
  Pack pack;
  for (const auto t : tokens) pack.token(t);
  MsgpackReader in(pack.bytes());
  std::vector<std::uint32_t> out(tokens.size());
  ASSERT_TRUE(in.read_u32_big_endian(out) && in.finished()) << in.error();
  for (std::size_t i = 0; i < tokens.size(); ++i) EXPECT_EQ(__builtin_bswap32(out[i]), tokens[i]);
}

// Long runs go another way than single tokens; where they meet must not be seen.
TEST(MsgpackReader, LongRunsOfTokensInAnyMixOfForms) {
  std::mt19937 rng(5);
  const std::uint32_t limits[] = {0x80, 0x100, 0x10000, 0xffffffff};
  for (int round = 0; round < 400; ++round) {
    std::vector<std::uint32_t> tokens(rng() % 400);
    const auto rare = rng() % 20;  // how often one has a short form
    Pack pack;
    for (auto& token : tokens) {
      token =
          static_cast<std::uint32_t>(rng()) % limits[rng() % 20 < rare ? rng() % 2 : 2 + rng() % 2];
      pack.token(token);
    }
    const Bytes all = pack.bytes();
    std::vector<std::uint32_t> out(tokens.size());
    MsgpackReader in(all);
    ASSERT_TRUE(in.read_u32_big_endian(out) && in.finished()) << in.error();
    for (std::size_t i = 0; i < tokens.size(); ++i)
      ASSERT_EQ(__builtin_bswap32(out[i]), tokens[i]) << i << " of " << tokens.size();
    if (all.empty()) continue;
    // On the heap, so that AddressSanitizer sees a read beyond the end.
    const auto cut_bytes = std::span(all).first(rng() % all.size());
    const std::vector<std::byte> part(cut_bytes.begin(), cut_bytes.end());
    MsgpackReader cut(part);
    EXPECT_FALSE(cut.read_u32_big_endian(out));
  }
}

TEST(MsgpackReader, ManyIntegersAreReadAsEachAlone) {
  std::mt19937_64 rng(6);
  for (int round = 0; round < 400; ++round) {
    std::vector<std::int64_t> values(rng() % 60);
    Pack pack;
    for (auto& value : values) {
      value = static_cast<std::int64_t>(rng() >> rng() % 64);
      if (rng() % 8 == 0) value = -value;
      const bool short_form = value >= 0 && value <= INT64_C(0xffffffff) && rng() % 4 != 0;
      short_form ? pack.token(static_cast<std::uint32_t>(value)) : pack.integer(value);
    }
    const Bytes all = pack.bytes();
    std::vector<std::int64_t> out(values.size());
    MsgpackReader in(all);
    ASSERT_TRUE(in.read_ints(out) && in.finished()) << in.error();
    EXPECT_EQ(out, values);
    if (all.empty()) continue;
    // On the heap, so that AddressSanitizer sees a read beyond the end.
    const auto cut_bytes = std::span(all).first(rng() % all.size());
    const std::vector<std::byte> part(cut_bytes.begin(), cut_bytes.end());
    MsgpackReader cut(part);
    EXPECT_FALSE(cut.read_ints(out));
  }
}

TEST(MsgpackReader, AForeignValueAmongManyIsRefused) {
  const Bytes bytes = Pack().integer(1).integer(300).string("x").integer(2);
  MsgpackReader in(bytes);
  std::vector<std::int64_t> out(4);
  EXPECT_FALSE(in.read_ints(out));
  EXPECT_EQ(in.error(), "expected an integer");
}

TEST(MsgpackReader, AForeignValueAmongManyTokensIsRefused) {
  for (const std::size_t at : {0u, 1u, 63u, 100u}) {
    Pack pack;
    for (std::size_t i = 0; i < 200; ++i) {
      if (i == at) {
        pack.string("x");
      } else {
        pack.token(70000);
      }
    }
    const Bytes bytes = pack.bytes();
    MsgpackReader in(bytes);
    std::vector<std::uint32_t> out(200);
    EXPECT_FALSE(in.read_u32_big_endian(out)) << at;
  }
}

TEST(MsgpackReader, RefusesTokensOutsideThirtyTwoBits) {
  for (const std::int64_t bad : {std::int64_t{-1}, std::int64_t{1} << 32}) {
    const Bytes bytes = Pack().integer(bad).raw({0, 0, 0, 0, 0});
    MsgpackReader in(bytes);
    std::vector<std::uint32_t> out(1);
    EXPECT_FALSE(in.read_u32_big_endian(out)) << bad;
  }
}

// An announced count is worthless until the bytes are there: nothing may be reserved for it.
TEST(MsgpackReader, CountsBeyondTheFrameAreRefused) {
  for (const auto& bytes :
       {Bytes(Pack().raw({0xdd, 0xff, 0xff, 0xff, 0xff})),
        Bytes(Pack().raw({0xdc, 0x00, 0x02, 0x01})), Bytes(Pack().raw({0x93, 1, 2}))}) {
    MsgpackReader in(bytes);
    std::size_t n = 0;
    EXPECT_FALSE(in.read_array(n));
  }
  const Bytes map = Pack().raw({0xdf, 0x7f, 0xff, 0xff, 0xff, 1, 2});
  MsgpackReader in(map);
  std::size_t n = 0;
  EXPECT_FALSE(in.read_map(n));
}

TEST(MsgpackReader, EveryTruncationOfAValueFails) {
  const Bytes whole = Pack()
                          .map(3)
                          .string("a")
                          .array(3)
                          .integer(1 << 20)
                          .real(1.5)
                          .nil()
                          .string("b")
                          .binary("xyz")
                          .string("c")
                          .ext(5, Pack().map(1).boolean(true).string("deep"));
  MsgpackReader full(whole);
  ASSERT_TRUE(full.skip() && full.finished());
  for (std::size_t n = 0; n < whole.size(); ++n) {
    MsgpackReader in(ByteView{whole}.first(n));
    EXPECT_FALSE(in.skip() && in.finished())
        << n << " of " << whole.size() << " bytes were taken for a whole value";
  }
}

TEST(MsgpackReader, NestingIsBounded) {
  const auto nested = [](std::size_t depth) {
    Bytes out(depth, std::byte{0x91});
    out.push_back(std::byte{0});
    return out;
  };
  const Bytes deepest = nested(MsgpackReader::kMaxDepth), beyond = nested(1u << 20);
  MsgpackReader ok(deepest);
  EXPECT_TRUE(ok.skip() && ok.finished());
  MsgpackReader bomb(beyond);
  EXPECT_FALSE(bomb.skip());
}

TEST(MsgpackReader, StringsMustBeUtf8) {
  EXPECT_TRUE(is_utf8("plain"));
  EXPECT_TRUE(is_utf8("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"));
  EXPECT_FALSE(is_utf8("\x80"));
  EXPECT_FALSE(is_utf8("\xc0\xaf"));          // overlong
  EXPECT_FALSE(is_utf8("\xed\xa0\x80"));      // surrogate
  EXPECT_FALSE(is_utf8("\xf4\x90\x80\x80"));  // beyond the last code point
  EXPECT_FALSE(is_utf8("\xe2\x82"));          // cut
}

TEST(MsgpackReader, TheFirstFailureSticks) {
  const Bytes bytes = Pack().string("x").integer(1);
  MsgpackReader in(bytes);
  std::int64_t number = 0;
  EXPECT_FALSE(in.read_int(number));
  std::string_view text;
  EXPECT_FALSE(in.read_string(text));
  EXPECT_FALSE(in.skip());
  EXPECT_FALSE(in.finished());
  EXPECT_EQ(in.error(), "expected an integer");
}

TEST(MsgpackReader, RandomBytesNeverReadPastTheEnd) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 rng(seed);
  for (int round = 0; round < 20000; ++round) {
    Bytes bytes(rng() % 40);
    for (auto& b : bytes) b = static_cast<std::byte>(rng());
    MsgpackReader in(bytes);
    while (in.skip()) {
      if (in.finished()) break;
    }
    std::vector<std::uint32_t> tokens(8);
    MsgpackReader again(bytes);
    static_cast<void>(again.read_u32_big_endian(tokens));
  }
}

}  // namespace
}  // namespace lmcache::wire
