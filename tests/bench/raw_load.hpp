// The cheapest client there is: a bare TCP connection with ready-made ZMTP bytes. Where libzmq's
// own cost hides the server's, this one keeps the server busy.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <stdexcept>
#include <string>
#include <string_view>

#include "support/zmtp_peer.hpp"

namespace lmcache::bench {

class RawLoad {
 public:
  /// `url` as tcp://ADDRESS:PORT, the address in numbers.
  explicit RawLoad(const std::string& url) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const auto colon = url.rfind(':');
    constexpr std::string_view kScheme = "tcp://";
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(std::stoi(url.substr(colon + 1))));
    const std::string host = url.substr(kScheme.size(), colon - kScheme.size());
    const int on = 1;
    if (::inet_pton(AF_INET, host.c_str(), &address.sin_addr) != 1 ||
        ::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0) {
      throw std::runtime_error("cannot connect to " + url);
    }
    send(test::handshake());
    skip(64);  // the server's greeting; its READY is a command, which receive() passes over
  }
  RawLoad(const RawLoad&) = delete;
  RawLoad& operator=(const RawLoad&) = delete;
  ~RawLoad() { ::close(fd_); }

  /// `trips` noops, `in_flight` at a time: as many new ones go out at once as replies came in at
  /// once.
  void noops(int trips, int in_flight) {
    constexpr std::string_view kNoop{"\1\1\1\0\1\x18", 6};  // uid 1, more to come; operation 24
    std::string batch;
    for (int i = 0; i < in_flight; ++i) batch += kNoop;
    send(batch);
    for (int sent = in_flight, received = 0; received < trips;) {
      const int replies = receive();
      received += replies;
      const int more = std::min(replies, trips - sent);
      send(std::string_view(batch).substr(0, static_cast<std::size_t>(more) * kNoop.size()));
      sent += more;
    }
  }

 private:
  void send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) throw std::runtime_error("the server hung up");
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
  }

  void fill() {
    const ssize_t n = ::recv(fd_, buffer_.data(), buffer_.size(), 0);
    if (n <= 0) throw std::runtime_error("the server hung up");
    begin_ = 0;
    end_ = static_cast<std::size_t>(n);
  }

  void skip(std::size_t bytes) {
    while (bytes > 0) {
      if (begin_ == end_) fill();
      const std::size_t n = std::min(bytes, end_ - begin_);
      begin_ += n;
      bytes -= n;
    }
  }

  unsigned octet() {
    if (begin_ == end_) fill();
    return static_cast<unsigned char>(buffer_[begin_++]);
  }

  /// Waits for bytes; the replies that ended in them. Frames are short: all are noop's.
  int receive() {
    int replies = 0;
    do {
      const unsigned flags = octet();
      skip(octet());
      if ((flags & 5) == 0) ++replies;  // neither a command nor followed by another frame
    } while (begin_ != end_);
    return replies;
  }

  int fd_;
  std::array<char, 16384> buffer_{};
  std::size_t begin_ = 0, end_ = 0;
};

}  // namespace lmcache::bench
