// The admin HTTP server with routes of the test's own.
#include "admin/server.hpp"
#include "peers.hpp"

#include <gtest/gtest.h>
#include <sched.h>

#include <atomic>
#include <future>
#include <memory>
#include <regex>
#include <vector>

namespace lmcache::test {
namespace {

using admin::Lane;
using admin::Request;
using admin::Router;
using admin::Verb;

class Http : public testing::Test {
 protected:
  /// A server with /quick, /slow, and /held, which is slow until let_go().
  Http() : server_(options(), routes()) {
    const Status status = server_.start();
    EXPECT_TRUE(status) << status.error().text;
  }
  ~Http() override { let_go(); }

  void let_go() {
    if (!free_) gate_.set_value();
    free_ = true;
  }
  [[nodiscard]] std::unique_ptr<RawPeer> ask(std::string_view requests) {
    auto peer = std::make_unique<RawPeer>(server_.port());
    EXPECT_TRUE(peer->send(requests));
    return peer;
  }
  [[nodiscard]] static std::string get(std::string_view path, std::string_view method = "GET",
                                       std::string_view header = "Connection: close\r\n") {
    return std::string(method) + " " + std::string(path) + " HTTP/1.1\r\nHost: x\r\n" +
           std::string(header) + "\r\n";
  }
  [[nodiscard]] static std::string body_of(const std::string& answer) {
    return answer.substr(std::min(answer.size(), answer.find("\r\n\r\n") + 4));
  }

  admin::HttpServer& server() { return server_; }
  std::atomic<int> entered{0};

 private:
  static admin::HttpOptions options() {
    admin::HttpOptions out;
    out.max_connections = 64;
    return out;
  }
  Router routes() {
    Router router;
    router.add({Verb::get, "/quick", "", [](const Request&) { return admin::text("quick"); }});
    router.add(
        {Verb::get, "/slow", "", [](const Request&) { return admin::text("slow"); }, Lane::kSlow});
    router.add({Verb::get, "/yielding", "",
                [](const Request&) {
                  const sched_param none{};
                  ::sched_setscheduler(0, SCHED_IDLE, &none);
                  return admin::text("yielding");
                },
                Lane::kSlow});
    router.add({Verb::get, "/held", "",
                [this](const Request&) {
                  ++entered;
                  opened_.wait();
                  return admin::text("held");
                },
                Lane::kSlow});
    return router;
  }

  std::promise<void> gate_;
  std::shared_future<void> opened_ = gate_.get_future().share();
  bool free_ = false;
  admin::HttpServer server_;
};

/// This thread, and those it starts, on one processor.
class OneProcessor {
 protected:
  OneProcessor() {
    ::sched_getaffinity(0, sizeof before_, &before_);
    cpu_set_t one;
    CPU_ZERO(&one);
    for (std::size_t cpu = 0; CPU_COUNT(&one) == 0; ++cpu)
      if (CPU_ISSET(cpu, &before_)) CPU_SET(cpu, &one);
    ::sched_setaffinity(0, sizeof one, &one);
  }
  ~OneProcessor() { ::sched_setaffinity(0, sizeof before_, &before_); }

 private:
  cpu_set_t before_;
};
class SlowLane : OneProcessor, public Http {};

// Whomever its thread wakes runs first, so the HTTP thread is through with a connection before the
// slow lane's goes on: ThreadSanitizer sees it if that one is the last to hold it.
TEST_F(SlowLane, ConnectionsEndOnTheHttpThread) {
  for (int round = 0; round < 10; ++round) {
    ask(get("/yielding"))->close();
    ASSERT_EQ(body_of(ask(get("/yielding"))->read_all()), "yielding");
  }
}

TEST_F(Http, HeadIsGetWithoutItsBody) {
  const auto peer = ask(get("/slow", "HEAD", "") + get("/quick", "HEAD", "") +
                        get("/nope", "HEAD", "") + get("/quick"));
  const std::string answers = peer->read_all();
  const std::regex expected(
      "HTTP/1.1 200 OK\r\n[^{]*Content-Length: 4\r\n\r\n"
      "HTTP/1.1 200 OK\r\n[^{]*Content-Length: 5\r\n\r\n"
      "HTTP/1.1 404 Not Found\r\n[^{]*Content-Length: 22\r\n\r\n"
      "HTTP/1.1 200 OK\r\n[^{]*\r\n\r\nquick");
  EXPECT_TRUE(std::regex_match(answers, expected)) << answers;
}

TEST_F(Http, SlowRequestsAreFewSoThatQuickOnesGetInAndOut) {
  std::vector<std::unique_ptr<RawPeer>> crowd;
  for (int i = 0; i < 200; ++i) crowd.push_back(ask(get("/held")));
  ASSERT_TRUE(eventually([this] { return entered == 1; }));
  EXPECT_EQ(body_of(ask(get("/quick"))->read_all()), "quick");
  let_go();
  int held = 0, refused = 0;
  for (const auto& peer : crowd) {
    const std::string answer = peer->read_all();
    held += answer.ends_with("held") ? 1 : 0;
    refused += answer.starts_with("HTTP/1.1 503 ") ? 1 : 0;
  }
  EXPECT_EQ(held, 16);
  EXPECT_GT(refused, 0);  // the others made room for those behind them
  EXPECT_EQ(body_of(ask(get("/slow"))->read_all()), "slow");
}

TEST_F(Http, StopRunsNoneOfTheRequestsThatWait) {
  std::vector<std::unique_ptr<RawPeer>> crowd;
  for (int i = 0; i < 16; ++i) crowd.push_back(ask(get("/held")));
  ASSERT_TRUE(eventually([this] { return entered == 1; }));
  EXPECT_EQ(body_of(ask(get("/quick"))->read_all()), "quick");
  EXPECT_TRUE(ask(get("/slow"))->read_all().starts_with("HTTP/1.1 503 "));
  auto stopped = std::async(std::launch::async, [this] { server().stop(); });
  for (const auto& peer : crowd) EXPECT_EQ(peer->read_all(), "");
  let_go();
  stopped.get();
  EXPECT_EQ(entered, 1);
}

}  // namespace
}  // namespace lmcache::test
