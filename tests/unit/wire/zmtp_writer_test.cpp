#include "wire/zmtp_writer.hpp"
#include "support/zmtp_peer.hpp"
#include "wire/zmtp_decoder.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <random>
#include <string>
#include <vector>

namespace lmcache::wire {
namespace {

using namespace std::string_literals;

/// Takes everything out, `step` bytes at a time.
std::string take(ZmtpWriter& writer, std::size_t step = SIZE_MAX) {
  std::string out;
  while (!writer.empty()) {
    std::array<ByteView, 3> buffers;
    const std::size_t count = writer.gather(buffers);
    std::string now;
    for (std::size_t i = 0; i < count; ++i) {
      now += test::text(buffers[i]).substr(0, step - now.size());
    }
    EXPECT_FALSE(now.empty());
    writer.consume(now.size());
    out += now;
  }
  return out;
}

void write(ZmtpWriter& writer, std::initializer_list<std::string_view> texts) {
  std::vector<ByteView> frames;
  for (const auto text : texts) frames.push_back(std::as_bytes(std::span{text}));
  writer.message(frames);
}

TEST(ZmtpWriter, WritesTheHandshake) {
  ZmtpWriter writer;
  writer.greeting();
  writer.ready();
  EXPECT_EQ(take(writer),
            test::greeting() + test::command("READY", test::property("Socket-Type", "ROUTER") +
                                                          test::property("Identity", "")));
}

TEST(ZmtpWriter, WritesAClientsHandshake) {
  ZmtpWriter writer;
  writer.greeting();
  writer.ready("DEALER");
  EXPECT_EQ(take(writer), test::handshake());
}

TEST(ZmtpWriter, WritesCommands) {
  ZmtpWriter writer;
  writer.error("no");
  writer.ping(258);
  ZmtpPing ping;
  ping.context_size = 3;
  std::ranges::copy(test::bytes("ctx"), ping.context.begin());
  writer.pong(ping);
  EXPECT_EQ(take(writer), test::command("ERROR", "\x02no") + test::command("PING", "\x01\x02") +
                              test::command("PONG", "ctx"));
  writer.error(std::string(300, 'e'));
  EXPECT_EQ(take(writer), test::command("ERROR", "\xff" + std::string(255, 'e')));
}

TEST(ZmtpWriter, WritesShortAndLongFrames) {
  const std::string s255(255, 's'), s256(256, 'l'), big(100000, 'b');
  for (const std::size_t step : {std::size_t{1}, std::size_t{1000}, SIZE_MAX}) {
    ZmtpWriter writer;
    write(writer, {"", s255, s256, big, "end"});
    write(writer, {"next"});
    const std::string expected = test::frame("", 1) + test::frame(s255, 1) + test::frame(s256, 1) +
                                 test::frame(big, 1) + test::frame("end") + test::frame("next");
    EXPECT_EQ(writer.bytes(), expected.size());
    EXPECT_TRUE(take(writer, step) == expected) << step;
    EXPECT_EQ(writer.bytes(), 0u);
  }
}

TEST(ZmtpWriter, SendsNothingForNoFrames) {
  ZmtpWriter writer;
  writer.message({});
  EXPECT_TRUE(writer.empty());
  std::array<ByteView, 2> buffers;
  EXPECT_EQ(writer.gather(buffers), 0u);
}

TEST(ZmtpWriter, PacksManySmallRepliesIntoFewBuffers) {
  ZmtpWriter writer;
  for (int i = 0; i < 64; ++i) write(writer, {"uid", "op", "payload"});
  std::array<ByteView, 64> buffers;
  EXPECT_EQ(writer.gather(buffers), 1u);
}

TEST(ZmtpWriter, AppendsWhatAnotherHasNotSent) {
  const std::string big(100000, 'b');
  ZmtpWriter writer, other;
  writer.append(other);
  EXPECT_TRUE(writer.empty());
  write(other, {"sent", "before"});
  other.consume(test::frame("sent", 1).size());
  write(other, {"u", big});
  write(writer, {"first"});
  writer.append(other);
  write(writer, {"last"});
  EXPECT_TRUE(take(writer) == test::frame("first") + test::frame("before") + test::frame("u", 1) +
                                  test::frame(big) + test::frame("last"));
}

TEST(ZmtpWriter, KeepsNoMemoryOfALargeMessage) {
  ZmtpWriter writer;
  write(writer, {"u", "op", std::string(1 << 20, 'b')});
  write(writer, {"small"});
  take(writer);
  write(writer, {"u", "op", std::string(1 << 20, 'b')});
  take(writer);
  EXPECT_LE(writer.allocated_bytes(), 32u << 10);
}

TEST(ZmtpWriter, GivesNoEmptyBuffers) {
  ZmtpWriter writer;
  for (const std::size_t size : {10u, 100'000u, 10u, 100'000u}) {
    write(writer, {std::string(size, 'x')});
    std::array<ByteView, 4> buffers;
    const std::size_t count = writer.gather(buffers);
    ASSERT_GE(count, 1u);
    for (std::size_t i = 0; i < count; ++i) EXPECT_FALSE(buffers[i].empty()) << size;
    take(writer);
  }
}

TEST(ZmtpWriter, ClearForgetsEverything) {
  ZmtpWriter writer;
  write(writer, {"gone", std::string(10000, 'g')});
  writer.consume(3);
  writer.clear();
  EXPECT_TRUE(writer.empty());
  write(writer, {"kept"});
  EXPECT_EQ(take(writer), test::frame("kept"));
}

// Random messages through writer and decoder, cut at random places on both sides.
TEST(ZmtpRoundTrip, RandomMessagesArriveUnchanged) {
  const char* given = std::getenv("LMCACHE_TEST_SEED");
  const auto seed = given != nullptr ? static_cast<unsigned>(std::strtoul(given, nullptr, 10))
                                     : std::random_device{}();
  std::cout << "LMCACHE_TEST_SEED=" << seed << '\n';
  std::mt19937 random{seed};
  const auto below = [&](std::size_t n) {
    return std::uniform_int_distribution<std::size_t>{0, n - 1}(random);
  };

  ZmtpDecoder decoder{ZmtpLimits{}};
  ZmtpWriter writer;
  std::vector<std::vector<Bytes>> sent, got;
  std::string stream = test::handshake();
  for (int i = 0; i < 200; ++i) {
    std::vector<Bytes> message(1 + below(8));
    for (Bytes& part : message) {
      const std::array sizes{std::size_t{2}, std::size_t{300}, std::size_t{5000},
                             std::size_t{90000}};
      part.resize(below(sizes[below(i % 10 == 0 ? 4 : 3)]));
      std::ranges::generate(part, [&] { return static_cast<std::byte>(random()); });
    }
    writer.message(test::views(message));
    sent.push_back(std::move(message));
    if (below(4) == 0) writer.ping(1);
    if (below(3) == 0) stream += take(writer, 1 + below(70000));
  }
  stream += take(writer, 1 + below(70000));

  for (std::string_view in = stream; !in.empty();) {
    const auto room = decoder.prepare();
    const std::size_t n = std::min({room.size(), in.size(), 1 + below(40000)});
    std::memcpy(room.data(), in.data(), n);
    decoder.commit(n);
    in.remove_prefix(n);
    for (ZmtpEvent e; (e = decoder.next()) != ZmtpEvent::kNeedMore;) {
      ASSERT_NE(e, ZmtpEvent::kFailed) << decoder.error_text();
      if (e != ZmtpEvent::kMessage) continue;
      const Message message = std::move(decoder.message());
      auto& parts = got.emplace_back();
      for (std::size_t f = 0; f < message.frame_count(); ++f) {
        parts.emplace_back(message.frame(f).begin(), message.frame(f).end());
      }
    }
  }
  EXPECT_TRUE(sent == got);
}

}  // namespace
}  // namespace lmcache::wire
