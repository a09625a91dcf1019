#include "commands/http_client.hpp"

#include <gtest/gtest.h>

namespace lmcache::commands {
namespace {

TEST(Url, HasHostAndPort) {
  const auto plain = parse_url("http://localhost:8080/").value();
  EXPECT_EQ(plain.host, "localhost");
  EXPECT_EQ(plain.port, "8080");
  EXPECT_EQ(plain.url, "http://localhost:8080");
  EXPECT_EQ(parse_url("node7:81").value().url, "http://node7:81");
  EXPECT_EQ(parse_url("http://node7").value().port, "80");
  const auto v6 = parse_url("http://[::1]:8080").value();
  EXPECT_EQ(v6.host, "::1");
  EXPECT_EQ(v6.port, "8080");
  EXPECT_EQ(parse_url("http://[::1]").value().port, "80");
  EXPECT_EQ(parse_url("h:65535").value().port, "65535");
}

TEST(Url, MayBeAUnixSocket) {
  EXPECT_EQ(parse_url("unix:/run/lmcache/admin.sock").value().path, "/run/lmcache/admin.sock");
}

TEST(Url, OthersAreRefused) {
  for (const char* url : {"", "https://h:1", "ftp://h", "http://", "http://:80", "http://h:", "h:x",
                          "http://h:123456", "http://h:65536", "http://h:73616", "http://h/path",
                          "unix:", "http://[::1"})
    EXPECT_FALSE(parse_url(url)) << url;
}

TEST(Escaped, KeepsWhatMayStandInAPath) {
  EXPECT_EQ(escaped("aZ09-_.~"), "aZ09-_.~");
  EXPECT_EQ(escaped("a b/c%\xc3\xa4"), "a%20b%2Fc%25%C3%A4");
}

}  // namespace
}  // namespace lmcache::commands
