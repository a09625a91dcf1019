// The /quota routes over a table of their own; the answers are the reference's, byte for byte.
#include "admin/routes.hpp"

#include <gtest/gtest.h>

#include <map>

namespace lmcache::admin {
namespace {

class Table final : public Quotas {
 public:
  Status set(const std::string& salt, std::uint64_t limit_bytes) override {
    if (salt == "full") return Error{Cause::kNoMemory, "more than L1 has"};
    limits[salt] = limit_bytes;
    return {};
  }
  std::optional<Row> get(const std::string& salt) const override {
    const auto found = limits.find(salt);
    if (found == limits.end()) return std::nullopt;
    return Row{salt, found->second, used_bytes(salt)};
  }
  std::uint64_t used_bytes(const std::string&) const override { return 1u << 29; }
  bool remove(const std::string& salt) override { return limits.erase(salt) > 0; }
  std::vector<Row> all() const override {
    std::vector<Row> rows;
    for (const auto& [salt, limit] : limits) rows.push_back({salt, limit, used_bytes(salt)});
    return rows;
  }
  std::map<std::string, std::uint64_t> limits;
};

struct Answer {
  unsigned status;
  std::string body;
  friend bool operator==(const Answer&, const Answer&) = default;
  friend std::ostream& operator<<(std::ostream& out, const Answer& answer) {
    return out << answer.status << ' ' << answer.body;
  }
};

class QuotaRoutes : public testing::Test {
 protected:
  QuotaRoutes() { add_quota_routes(router_, &table_); }

  static Answer ask_of(const Router& router, Verb verb, const std::string& path,
                       std::string body = {}) {
    Request request;
    request.verb = verb;
    request.path = path;
    request.body = std::move(body);
    const auto found = router.find(request);
    const Response response = std::get<const Route*>(found)->handler(request);
    return {response.status, response.body};
  }
  Answer ask(Verb verb, const std::string& path, std::string body = {}) {
    return ask_of(router_, verb, path, std::move(body));
  }

  Table table_;
  Router router_;
};

TEST_F(QuotaRoutes, SetGetListDelete) {
  EXPECT_EQ(ask(Verb::put, "/quota/tenantB", R"({"limit_gb":1.5})"),
            (Answer{200, R"({"cache_salt":"tenantB","limit_gb":1.5,"status":"ok"})"}));
  EXPECT_EQ(
      ask(Verb::get, "/quota/tenantB"),
      (Answer{200,
              R"({"cache_salt":"tenantB","limit_gb":1.5,"current_usage_gb":0.5,"exists":true})"}));
  EXPECT_EQ(ask(Verb::get, "/quota"),
            (Answer{200, R"({"users":{"tenantB":{"limit_gb":1.5,"current_usage_gb":0.5}}})"}));
  EXPECT_EQ(ask(Verb::delete_, "/quota/tenantB"),
            (Answer{200, R"({"cache_salt":"tenantB","status":"removed"})"}));
  EXPECT_EQ(ask(Verb::delete_, "/quota/tenantB"),
            (Answer{200, R"({"cache_salt":"tenantB","status":"not_found"})"}));
  EXPECT_EQ(
      ask(Verb::get, "/quota/tenantB"),
      (Answer{200,
              R"({"cache_salt":"tenantB","limit_gb":0.0,"current_usage_gb":0.5,"exists":false})"}));
}

TEST_F(QuotaRoutes, TheEmptySaltIsCalledDefault) {
  EXPECT_EQ(ask(Verb::put, "/quota/_default", R"({"limit_gb":2})").status, 200u);
  EXPECT_EQ(table_.limits.at(""), std::uint64_t{2} << 30);
  EXPECT_EQ(ask(Verb::get, "/quota").body,
            R"({"users":{"_default":{"limit_gb":2.0,"current_usage_gb":0.5}}})");
}

TEST_F(QuotaRoutes, WhatIsNoLimitIsRefused) {
  const std::pair<const char*, const char*> cases[] = {
      {"{", "invalid JSON body"},
      {"[]", "body must be {'limit_gb': <float>}"},
      {"{}", "body must be {'limit_gb': <float>}"},
      {R"({"limit_gb":"x"})", "limit_gb must be numeric"},
      {R"({"limit_gb":-1})", "limit_gb must be non-negative"},
      {R"({"limit_gb":1e300})", "limit_gb must be at most 1048576"}};
  for (const auto& [body, text] : cases)
    EXPECT_EQ(ask(Verb::put, "/quota/a", body),
              (Answer{400, "{\"error\":\"" + std::string(text) + "\"}"}));
  EXPECT_EQ(ask(Verb::put, "/quota/full", R"({"limit_gb":1})"),
            (Answer{400, R"({"error":"more than L1 has"})"}));
  EXPECT_TRUE(table_.limits.empty());
}

TEST_F(QuotaRoutes, AServerWithoutQuotasSaysSo) {
  Router without;
  add_quota_routes(without, nullptr);
  EXPECT_EQ(ask_of(without, Verb::get, "/quota").status, 503u);
  EXPECT_EQ(ask_of(without, Verb::put, "/quota/a", R"({"limit_gb":1})").status, 503u);
}

}  // namespace
}  // namespace lmcache::admin
