#include "admin/router.hpp"

#include <gmock/gmock.h>

namespace lmcache::admin {
namespace {

using testing::ElementsAre;
using testing::Pair;

Router three_routes() {
  const auto says = [](const char* word) { return [word](const Request&) { return text(word); }; };
  Router router;
  router.add({Verb::get, "/quota", "all", says("list")});
  router.add({Verb::get, "/quota/{salt}", "one", says("one")});
  router.add({Verb::put, "/quota/{salt}", "set", says("set")});
  return router;
}

Request asking(Verb verb, std::string path) {
  Request request;
  request.verb = verb;
  request.path = std::move(path);
  return request;
}

std::string answer(const Router& router, Request request) {
  const auto found = router.find(request);
  if (const auto* route = std::get_if<const Route*>(&found)) return (*route)->handler(request).body;
  return std::to_string(std::get<Response>(found).status);
}

TEST(Router, FindsByMethodAndPath) {
  const Router router = three_routes();
  EXPECT_EQ(answer(router, asking(Verb::get, "/quota")), "list");
  EXPECT_EQ(answer(router, asking(Verb::get, "/quota/a")), "one");
  EXPECT_EQ(answer(router, asking(Verb::put, "/quota/a")), "set");
}

TEST(Router, ThePlaceAtTheEndTakesTheRest) {
  const Router router = three_routes();
  Request request = asking(Verb::get, "/quota/org/team");
  ASSERT_TRUE(std::holds_alternative<const Route*>(router.find(request)));
  EXPECT_THAT(request.places, ElementsAre(Pair("salt", "org/team")));
}

TEST(Router, OtherPathsAreNotFound) {
  const Router router = three_routes();
  for (const char* path : {"/", "/quot", "/quota/", "/quotas", "//quota"})
    EXPECT_EQ(answer(router, asking(Verb::get, path)), "404") << path;
}

TEST(Router, AnotherMethodIsRefusedWithThoseThereAre) {
  const Router router = three_routes();
  Request request = asking(Verb::post, "/quota/a");
  const auto found = router.find(request);
  const auto* refused = std::get_if<Response>(&found);
  ASSERT_NE(refused, nullptr);
  EXPECT_EQ(refused->status, 405u);
  EXPECT_THAT(refused->headers, ElementsAre(Pair("Allow", "GET, HEAD, PUT")));
}

TEST(Router, TheDocumentHasEveryRoute) {
  const Json document = three_routes().openapi();
  ASSERT_EQ(document["paths"].size(), 2u);
  EXPECT_EQ(document["paths"]["/quota/{salt}"].size(), 2u);
  EXPECT_EQ(document["paths"]["/quota/{salt}"]["put"]["parameters"][0]["name"], "salt");
}

}  // namespace
}  // namespace lmcache::admin
