#include "admin/options.hpp"

#include <gmock/gmock.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <string>

namespace lmcache::admin {
namespace {

using testing::HasSubstr;

class TokenFile : public testing::Test {
 protected:
  ~TokenFile() override { std::remove(path_.c_str()); }

  Result<HttpOptions> read(const std::string& content) {
    std::ofstream(path_) << content;
    ServerConfig config;
    config.http_token_file = path_;
    return HttpOptions::from(config);
  }

  /// CTest runs each test in a process of its own, several at a time.
  const std::string path_ = testing::TempDir() + "lmcache_token_" + std::to_string(::getpid());
};

TEST_F(TokenFile, TheFirstLineIsTheToken) {
  EXPECT_EQ(read("0123456789abcdef\nrest\n").value().token, "0123456789abcdef");
}

TEST_F(TokenFile, TokensThatAreNoneAreRefusedWithTheCure) {
  for (const std::string& content :
       {std::string(), std::string("short\n"), std::string("0123456789 abcdef\n"),
        std::string("0123456789abcde\x01\n"), std::string(4097, 'a')}) {
    const auto options = read(content);
    ASSERT_FALSE(options);
    EXPECT_THAT(options.error().text, HasSubstr("--http-token-file"));
    EXPECT_THAT(options.error().text, testing::Not(HasSubstr("abcde")));
  }
}

TEST(Options, AMissingTokenFileIsAnError) {
  ServerConfig config;
  config.http_token_file = "/nonexistent/token";
  EXPECT_FALSE(HttpOptions::from(config));
}

}  // namespace
}  // namespace lmcache::admin
