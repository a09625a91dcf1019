#include "app/host.hpp"

#include <gtest/gtest.h>

namespace lmcache::app {
namespace {

TEST(Loopback, HostsOnlyThisMachineReaches) {
  for (const char* host :
       {"localhost", "127.0.0.1", "127.8.9.10", "::1", "[::1]", "::ffff:127.0.0.1"}) {
    EXPECT_TRUE(is_loopback_host(host)) << host;
  }
}

TEST(Loopback, AllElseCountsAsReachable) {
  for (const char* host :
       {"0.0.0.0", "::", "[::]", "10.0.0.1", "*", "", "[]", "example.org", "127.0.0.1.example.org",
        "localhost.example.org", "128.0.0.1", "::ffff:10.0.0.1", "fe80::1"}) {
    EXPECT_FALSE(is_loopback_host(host)) << host;
  }
}

}  // namespace
}  // namespace lmcache::app
