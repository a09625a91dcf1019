#include "admin/gate.hpp"

#include <gtest/gtest.h>

namespace lmcache::admin {
namespace {

constexpr std::string_view kToken = "0123456789abcdef";

unsigned status_of(const Credentials& given, std::string_view token, bool open, Verb verb) {
  const auto refused = check(given, token, open, verb);
  return refused ? refused->status : 200;
}

TEST(Gate, WithoutATokenEverybodyMay) {
  EXPECT_EQ(status_of({}, "", false, Verb::get), 200u);
}

TEST(Gate, TheTokenMustBeTheWholeToken) {
  EXPECT_EQ(status_of({"Bearer 0123456789abcdef"}, kToken, false, Verb::get), 200u);
  EXPECT_EQ(status_of({"bEARER 0123456789abcdef"}, kToken, false, Verb::get), 200u);
  for (const char* wrong : {"", "Bearer ", "Bearer 0123456789abcdee", "Bearer 0123456789abcde",
                            "Bearer 0123456789abcdef0", "Basic 0123456789abcdef",
                            "0123456789abcdef", "Bearer  0123456789abcdef"})
    EXPECT_EQ(status_of({wrong}, kToken, false, Verb::get), 401u) << wrong;
}

TEST(Gate, OpenRoutesNeedNone) {
  EXPECT_EQ(status_of({}, kToken, true, Verb::get), 200u);
}

TEST(Gate, APageOfAnotherOriginChangesNothing) {
  const Credentials same{"", "http://localhost:8080", "localhost:8080"};
  EXPECT_EQ(status_of(same, "", false, Verb::post), 200u);
  for (const char* origin : {"http://evil.example", "null", "http://localhost:8081"}) {
    const Credentials other{"", origin, "localhost:8080"};
    EXPECT_EQ(status_of(other, "", false, Verb::post), 403u) << origin;
    EXPECT_EQ(status_of(other, "", false, Verb::get), 200u) << origin;
  }
}

}  // namespace
}  // namespace lmcache::admin
