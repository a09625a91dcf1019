#include "admin/http.hpp"

#include <gmock/gmock.h>

namespace lmcache::admin {
namespace {

using testing::ElementsAre;
using testing::Pair;

TEST(Target, IsAPathAndAQuery) {
  Request request;
  ASSERT_TRUE(parse_target("/cache/objects?tier=l1&model_name=org%2Fm+1&page_token=", request));
  EXPECT_EQ(request.path, "/cache/objects");
  EXPECT_THAT(request.query, ElementsAre(Pair("model_name", "org/m 1"), Pair("page_token", ""),
                                         Pair("tier", "l1")));
}

TEST(Target, EscapesInThePathAreDecodedAndAPlusStays) {
  Request request;
  ASSERT_TRUE(parse_target("/quota/a%2fb+%C3%A4", request));
  EXPECT_EQ(request.path, "/quota/a/b+\xc3\xa4");
}

TEST(Target, OfARepeatedNameTheLastValueCounts) {
  Request request;
  ASSERT_TRUE(parse_target("/x?a=1&a=2&&=3&b", request));
  EXPECT_THAT(request.query, ElementsAre(Pair("a", "2"), Pair("b", "")));
}

TEST(Target, MayNameItsHost) {
  for (const auto& [target, path] :
       {std::pair{"http://h:8080/status?a=1", "/status"}, {"HTTP://h/", "/"}, {"http://h", "/"}}) {
    Request request;
    ASSERT_TRUE(parse_target(target, request)) << target;
    EXPECT_EQ(request.path, path);
  }
}

TEST(Target, IsRefusedWhenItIsNone) {
  for (const char* bad : {"", "*", "ftp://h/", "http://", "http:///x", "http://h?x", "/%", "/%2",
                          "/%zz", "/a%00b", "/x?a=%", "/x?%00=1"}) {
    Request request;
    EXPECT_FALSE(parse_target(bad, request)) << bad;
  }
}

TEST(Hex, IsReadBackAndNothingElseIs) {
  std::array<std::byte, 3> bytes{};
  ASSERT_TRUE(parse_hex("00fFa9", bytes));
  EXPECT_EQ(hex_text(bytes), "00ffa9");
  for (const char* bad :
       {"", "00ffa", "00ffa9a", "00ffa9aa", "0x0fa9", "00 fa9", "00-1a9", "00ffag"})
    EXPECT_FALSE(parse_hex(bad, bytes)) << bad;
}

TEST(Json, WhatIsNotUtf8IsReplaced) {
  EXPECT_EQ(json({{"model", "\xff"}}).body, "{\"model\":\"\xEF\xBF\xBD\"}");
}

}  // namespace
}  // namespace lmcache::admin
