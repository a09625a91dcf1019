// The fixture: a server with an EchoHandler on a free port of 127.0.0.1, started by start().
#pragma once

#include "echo_handler.hpp"
#include "net/server.hpp"
#include "peers.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>

namespace lmcache::test {

class WireTest : public testing::Test {
 protected:
  WireTest() { options.host = "127.0.0.1"; }
  ~WireTest() override {
    if (!server) return;
    server->stop();
    EXPECT_EQ(handler.opened_count, handler.closed_count);
    EXPECT_EQ(server->stats().connections_open, 0u);
    EXPECT_EQ(server->stats().unsent_bytes, 0u);
    EXPECT_EQ(server->stats().connections_paused, 0u);
  }

  void start() {
    server = std::make_unique<net::Server>(options, handler);
    const Status status = server->start();
    ASSERT_TRUE(status) << status.error().text;
  }
  [[nodiscard]] ZmqPeer dealer() {
    ZmqPeer peer{context, zmq::socket_type::dealer};
    peer.connect(server->port());
    return peer;
  }
  [[nodiscard]] net::NetStats stats() const { return server->stats(); }

  net::NetOptions options;
  EchoHandler handler;
  std::unique_ptr<net::Server> server;
  zmq::context_t context;
};

/// A directory of its own, short enough for socket paths.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "wireXXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  [[nodiscard]] std::string operator/(std::string_view name) const {
    return (path_ / name).string();
  }

 private:
  std::filesystem::path path_;
};

}  // namespace lmcache::test
