// The other ends of the wire tests: libzmq sockets, and a bare TCP socket that does as it is told.
#pragma once

#include "support/zmtp_peer.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zmq.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace lmcache::test {

inline constexpr int kPatienceMs = 60000;  // far beyond what a working test needs

/// Polls until `condition` holds; false when patience ends.
template <class Condition>
[[nodiscard]] bool eventually(Condition condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds{kPatienceMs};
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::yield();
  }
  return true;
}

using Frames = std::vector<std::string>;

class ZmqPeer {
 public:
  ZmqPeer(zmq::context_t& context, zmq::socket_type type) : socket_(context, type) {
    socket_.set(zmq::sockopt::linger, 0);
    socket_.set(zmq::sockopt::rcvtimeo, kPatienceMs);
    socket_.set(zmq::sockopt::sndtimeo, kPatienceMs);
  }
  [[nodiscard]] zmq::socket_t& socket() { return socket_; }
  void connect(const std::string& endpoint) { socket_.connect(endpoint); }
  void connect(std::uint16_t port) { connect("tcp://127.0.0.1:" + std::to_string(port)); }

  void send(const Frames& frames) {
    for (std::size_t i = 0; i < frames.size(); ++i) {
      const auto flags = i + 1 < frames.size() ? zmq::send_flags::sndmore : zmq::send_flags::none;
      ASSERT_TRUE(socket_.send(zmq::buffer(frames[i]), flags)) << "send timed out";
    }
  }
  [[nodiscard]] Frames receive() {
    Frames out;
    for (bool more = true; more;) {
      zmq::message_t part;
      if (!socket_.recv(part)) {
        ADD_FAILURE() << "receive timed out";
        return out;
      }
      out.push_back(part.to_string());
      more = part.more();
    }
    return out;
  }
  /// Sends and expects the same back.
  void round_trip(const Frames& frames) {
    send(frames);
    EXPECT_TRUE(receive() == frames);
  }

 private:
  zmq::socket_t socket_;
};

class RawPeer {
 public:
  explicit RawPeer(std::uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  }
  RawPeer(const RawPeer&) = delete;
  RawPeer& operator=(const RawPeer&) = delete;
  ~RawPeer() { close(); }
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }

  /// False when the server has closed.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }
  /// The next `size` bytes, fewer at the end of the stream.
  [[nodiscard]] std::string read(std::size_t size) {
    std::string out;
    while (out.size() < size) {
      pollfd ready{fd_, POLLIN, 0};
      if (::poll(&ready, 1, kPatienceMs) != 1) {
        ADD_FAILURE() << "nothing to read in time";
        break;
      }
      std::string part(std::min<std::size_t>(size - out.size(), 1u << 16), '\0');
      const ssize_t n = ::recv(fd_, part.data(), part.size(), 0);
      if (n <= 0) break;
      out.append(part, 0, static_cast<std::size_t>(n));
    }
    return out;
  }
  /// All that comes until the server closes.
  [[nodiscard]] std::string read_all() { return read(SIZE_MAX); }

  /// `then` goes out in one piece with our half of it.
  void shake_hands(std::string_view identity = {}, std::string_view then = {}) {
    ASSERT_TRUE(send(handshake(identity).append(then)));
    const std::string ours =
        greeting() + command("READY", property("Socket-Type", "ROUTER") + property("Identity", ""));
    ASSERT_EQ(read(ours.size()), ours);
  }

 private:
  int fd_;
};

}  // namespace lmcache::test
