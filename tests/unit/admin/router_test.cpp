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
  for (const char* path : {"/", "/quot", "/quotas", "/quotas/", "//quota", "//"})
    EXPECT_EQ(answer(router, asking(Verb::get, path)), "404") << path;
}

TEST(Router, ASlashTooManyLeadsToThePathWithoutIt) {
  const Router router = three_routes();
  for (const Verb verb : {Verb::get, Verb::put}) {
    Request request = asking(verb, "/quota/");
    request.target_query = "?a=%20b";
    const auto found = router.find(request);
    const auto* redirect = std::get_if<Response>(&found);
    ASSERT_NE(redirect, nullptr);
    EXPECT_EQ(redirect->status, 307u);
    EXPECT_THAT(redirect->headers, ElementsAre(Pair("Location", "/quota?a=%20b")));
  }
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
  const Json& put = document["paths"]["/quota/{salt}"]["put"];
  EXPECT_EQ(put["parameters"][0]["name"], "salt");
  for (const char* status : {"200", "400", "401", "403", "413", "431"})
    EXPECT_TRUE(put["responses"].contains(status)) << status;
  EXPECT_FALSE(document["paths"]["/quota"]["get"]["responses"].contains("403"));
}

}  // namespace
}  // namespace lmcache::admin
