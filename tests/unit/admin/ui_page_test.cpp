// The live page is one document whose policy allows what is in it and nothing else. That it works
// in a browser is tests/admin/ui_test.py.
#include "admin/ui_page.hpp"

#include <gmock/gmock.h>

namespace lmcache::admin {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(UiPage, HasStyleAndScriptInItsElements) {
  const UiPage page = ui_page("<style></style><p>text</p><script></script>", "p {}", "f();");
  EXPECT_EQ(page.html, "<style>p {}</style><p>text</p><script>f();</script>");
}

TEST(UiPage, PolicyNamesTheHashesOfBoth) {
  const UiPage page = ui_page("<style></style><script></script>", "", "abc");
  // Of the empty text and of "abc", as in FIPS 180-4's examples.
  EXPECT_THAT(page.policy,
              HasSubstr("style-src 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"));
  EXPECT_THAT(page.policy,
              HasSubstr("script-src 'sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0='"));
}

TEST(UiPage, PolicyAllowsNothingElse) {
  const std::string policy = ui_page().policy;
  EXPECT_THAT(policy, HasSubstr("default-src 'none'"));
  EXPECT_THAT(policy, HasSubstr("connect-src 'self'"));
  EXPECT_THAT(policy, HasSubstr("frame-ancestors 'none'"));
  EXPECT_THAT(policy, Not(HasSubstr("unsafe")));
}

TEST(UiPage, LoadsNothingAndWritesNoMarkup) {
  const std::string html = ui_page().html;
  EXPECT_THAT(html, HasSubstr("<!DOCTYPE html>"));
  EXPECT_THAT(html, HasSubstr("parseExposition"));
  for (const char* outside : {"http:", "https:", "@import", "url(", " src=", "innerHTML"})
    EXPECT_THAT(html, Not(HasSubstr(outside)));
}

TEST(UiPage, ItsElementsEndWhereTheyShould) {
  const std::string html = ui_page().html;
  for (const char* end : {"</style>", "</script>"})
    EXPECT_EQ(html.find(end), html.rfind(end)) << end;
}

}  // namespace
}  // namespace lmcache::admin
