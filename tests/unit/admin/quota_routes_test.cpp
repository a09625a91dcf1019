// The /quota routes over a cache; the answers are the reference's, byte for byte.
#include "admin/routes.hpp"

#include "unit/cache/cache_fixture.hpp"

#include <gtest/gtest.h>

namespace lmcache::admin {
namespace {

struct Answer {
  unsigned status;
  std::string body;
  friend bool operator==(const Answer&, const Answer&) = default;
  friend std::ostream& operator<<(std::ostream& out, const Answer& answer) {
    return out << answer.status << ' ' << answer.body;
  }
};

/// Of 4 MiB, of which a store under way of tenantB's has half: 1/512 GiB.
class QuotaRoutes : public testing::Test {
 protected:
  explicit QuotaRoutes(const char* policy = "IsolatedLRU")
      : cache_(pool_.memory(), CacheOptions{.policy = policy}) {
    add_quota_routes(router_, cache_);
    test::Side side = test::with_layout(test::layout_of(1, {-1}, 2 << 20));
    side.keyspace.salt = "tenantB";
    store_ = test::reserve(cache_, side, test::chain_of(1, 1)).value();
  }

  Answer ask(Verb verb, const std::string& path, std::string body = {}) {
    Request request;
    request.verb = verb;
    request.path = path;
    request.body = std::move(body);
    const auto found = router_.find(request);
    const Response response = std::get<const Route*>(found)->handler(request);
    return {response.status, response.body};
  }

  test::Pool pool_{1024};
  Cache cache_;
  StoreTicket store_;
  Router router_;
};

TEST_F(QuotaRoutes, SetGetListDelete) {
  EXPECT_EQ(ask(Verb::put, "/quota/tenantB", R"({"limit_gb":1.5})"),
            (Answer{200, R"({"cache_salt":"tenantB","limit_gb":1.5,"status":"ok"})"}));
  EXPECT_EQ(
      ask(Verb::get, "/quota/tenantB"),
      (Answer{
          200,
          R"({"cache_salt":"tenantB","limit_gb":1.5,"current_usage_gb":0.001953125,"exists":true})"}));
  EXPECT_EQ(
      ask(Verb::get, "/quota"),
      (Answer{200, R"({"users":{"tenantB":{"limit_gb":1.5,"current_usage_gb":0.001953125}}})"}));
  EXPECT_EQ(ask(Verb::delete_, "/quota/tenantB"),
            (Answer{200, R"({"cache_salt":"tenantB","status":"removed"})"}));
  EXPECT_EQ(ask(Verb::delete_, "/quota/tenantB"),
            (Answer{200, R"({"cache_salt":"tenantB","status":"not_found"})"}));
  EXPECT_EQ(
      ask(Verb::get, "/quota/tenantB"),
      (Answer{
          200,
          R"({"cache_salt":"tenantB","limit_gb":0.0,"current_usage_gb":0.001953125,"exists":false})"}));
}

TEST_F(QuotaRoutes, TheEmptySaltIsCalledDefault) {
  EXPECT_EQ(ask(Verb::put, "/quota/_default", R"({"limit_gb":2})").status, 200u);
  EXPECT_EQ(cache_.tenant("").quota.max_bytes, std::uint64_t{2} << 30);
  EXPECT_EQ(ask(Verb::put, "/quota/A", R"({"limit_gb":0})").status, 200u);
  EXPECT_EQ(ask(Verb::get, "/quota").body,
            R"({"users":{"_default":{"limit_gb":2.0,"current_usage_gb":0.0},)"
            R"("A":{"limit_gb":0.0,"current_usage_gb":0.0}}})");
}

TEST_F(QuotaRoutes, ALimitMayBeAStringThatIsANumber) {
  EXPECT_EQ(ask(Verb::put, "/quota/tenantB", R"({"limit_gb":"1.5"})"),
            (Answer{200, R"({"cache_salt":"tenantB","limit_gb":1.5,"status":"ok"})"}));
}

TEST_F(QuotaRoutes, WhatIsNoLimitIsRefused) {
  const std::pair<const char*, const char*> cases[] = {
      {"{", "invalid JSON body"},
      {"[]", "body must be {'limit_gb': <float>}"},
      {"{}", "body must be {'limit_gb': <float>}"},
      {R"({"limit_gb":"x"})", "limit_gb must be numeric"},
      {R"({"limit_gb":"1x"})", "limit_gb must be numeric"},
      {R"({"limit_gb":""})", "limit_gb must be numeric"},
      {R"({"limit_gb":"nan"})", "limit_gb must be finite"},
      {R"({"limit_gb":"-1"})", "limit_gb must be non-negative"},
      {R"({"limit_gb":-1})", "limit_gb must be non-negative"},
      {R"({"limit_gb":1e300})", "limit_gb must be at most 1048576"}};
  for (const auto& [body, text] : cases)
    EXPECT_EQ(ask(Verb::put, "/quota/a", body),
              (Answer{400, "{\"error\":\"" + std::string(text) + "\"}"}));
  EXPECT_TRUE(cache_.limited_tenants().empty());
}

class QuotaRoutesOfLru : public QuotaRoutes {
 protected:
  QuotaRoutesOfLru() : QuotaRoutes("LRU") {}
};

TEST_F(QuotaRoutesOfLru, APolicyThatEnforcesNoLimitsTakesThemAllTheSame) {
  EXPECT_EQ(ask(Verb::put, "/quota/b", R"({"limit_gb":1})"),
            (Answer{200, R"({"cache_salt":"b","limit_gb":1.0,"status":"ok"})"}));
  EXPECT_EQ(ask(Verb::get, "/quota"),
            (Answer{200, R"({"users":{"b":{"limit_gb":1.0,"current_usage_gb":0.0}}})"}));
  EXPECT_EQ(
      ask(Verb::get, "/quota/tenantB").body,
      R"({"cache_salt":"tenantB","limit_gb":0.0,"current_usage_gb":0.001953125,"exists":false})");
  EXPECT_EQ(ask(Verb::delete_, "/quota/a"),
            (Answer{200, R"({"cache_salt":"a","status":"not_found"})"}));
}

}  // namespace
}  // namespace lmcache::admin
