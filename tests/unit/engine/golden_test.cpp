// The recorded exchanges of the published client and server, replayed against the engine: replies
// must be the same bytes wherever the published server answered, and a proper failure where it
// stayed silent.
#include "support/harness.hpp"

#include <cstring>
#include <set>

namespace lmcache::test {
namespace {

/// The recording's segment names, made this process's own (tests run side by side) without changing
/// their length.
const std::string kRecordedName = "lmcache_kv_18002_";
const std::string kOwnName = [] {
  std::string digits = std::to_string(100000 + ::getpid() % 100000);
  return "lmcache_kv_" + digits.substr(1) + "_";
}();

Frames with_own_segments(Frames frames) {
  for (wire::Bytes& frame : frames) {
    std::string text(reinterpret_cast<const char*>(frame.data()), frame.size());
    for (auto at = text.find(kRecordedName); at != std::string::npos;
         at = text.find(kRecordedName)) {
      text.replace(at, kRecordedName.size(), kOwnName);
    }
    std::memcpy(frame.data(), text.data(), text.size());
  }
  return frames;
}

struct Replay : testing::Test {
  void run(const std::string& file, const std::set<std::string>& skip = {}) {
    for (const auto& one : load_golden(file)) {
      if (skip.contains(one.name)) continue;
      SCOPED_TRACE(file + "/" + one.name);
      const Frames reply = harness.send(peer, with_own_segments(one.request)).get();
      ASSERT_GE(reply.size(), 2u);
      EXPECT_EQ(reply[0], one.request[0]) << "the uid must come back as it was";
      if (one.reply) {
        EXPECT_EQ(reply, *one.reply);
      } else {
        expect_failure(one, reply);
      }
    }
  }
  static void expect_failure(const GoldenCase& one, const Frames& reply) {
    if (one.operation == "store") {
      EXPECT_FALSE(transfer_ok(reply));
    } else if (one.name == "lookup_zero_readers") {
      EXPECT_EQ(reply.size(), 2u) << "an older client's lookup counts as one reader";
      EXPECT_EQ(reply[1], one.request[1]);
    } else {
      EXPECT_NE(error_text(reply), "");
    }
  }
  void register_demo() {
    for (const auto& one : load_golden("register")) {
      if (one.name != "register_kv_cache") continue;
      EXPECT_EQ(harness.send(peer, with_own_segments(one.request)).get(), *one.reply);
    }
  }
  SharedMemory layer0{9216, "/" + kOwnName + "0"}, layer1{9216, "/" + kOwnName + "1"};
  Harness harness;
  net::PeerId peer = harness.connect();
};

// Ours differs on purpose: an unknown worker's first ping is false, and we record no KV events.
TEST_F(Replay, Management) {
  run("management", {"ping_int", "get_experimental", "p2p_query_unknown_task"});
}

TEST_F(Replay, Register) {
  run("register");
}

TEST_F(Replay, NotServed) {
  run("not_served");
}

TEST_F(Replay, StoreLookupRetrieve) {
  register_demo();
  const std::set<std::string> misses{"lookup_unregistered_model",
                                     "query_after_unregistered_model",
                                     "query_unknown_request",
                                     "wait_unknown_request",
                                     "lookup_miss",
                                     "wait_miss",
                                     "query_consumed",
                                     "lookup_zero_readers",
                                     "free_lookup_locks_no_result"};
  const std::set<std::string> hits{"lookup_hit", "query_hit", "lookup_hit_2", "wait_hit"};
  run("lookup", hits);  // recorded before anything was stored
  run("store");
  run("lookup", misses);
  run("retrieve", {"retrieve_skip_prefix"});
}

// The recording's lookups were made between its retrieves, so the request that the second one
// belongs to is looked up here.
TEST_F(Replay, SessionEnd) {
  register_demo();
  for (const auto& one : load_golden("store")) {
    if (one.name != "store_ok" && one.name != "store_suffix") continue;
    EXPECT_TRUE(transfer_ok(harness.send(peer, with_own_segments(one.request)).get()));
  }
  run("session_end");
}

}  // namespace
}  // namespace lmcache::test
