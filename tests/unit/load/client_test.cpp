#include "load/client.hpp"

#include <gtest/gtest.h>

namespace lmcache::load {
namespace {

TEST(ServerUrl, IsTcpOrIpc) {
  for (const char* url :
       {"tcp://localhost:5555", "tcp://[::1]:1", "tcp://h:65535", "ipc:///run/lmcache.sock"})
    EXPECT_EQ(url_error(url), "") << url;
  for (const char* url : {"", "localhost:5555", "tcp://", "tcp://h", "tcp://:1", "tcp://h:",
                          "tcp://h:x", "tcp://h:65536", "tcp://h:71091", "ipc://", "http://h:1"})
    EXPECT_NE(url_error(url), "") << url;
}

}  // namespace
}  // namespace lmcache::load
