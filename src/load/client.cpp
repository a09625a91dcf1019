#include "load/client.hpp"

#include "obs/clean_text.hpp"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>

namespace lmcache::load {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kStopInterval{100};  // how late a wish to end is noticed at most
constexpr std::string_view kTcp = "tcp://", kIpc = "ipc://";

/// A connected socket, or -1 with errno.
int connect_to(int family, const sockaddr* address, socklen_t size) {
  const int fd = ::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd >= 0 && ::connect(fd, address, size) == 0) return fd;
  const int error = errno;
  if (fd >= 0) ::close(fd);
  errno = error;
  return -1;
}

/// `address` as "HOST:PORT".
int connect_tcp(const std::string& address) {
  const std::size_t colon = address.rfind(':');
  std::string host = address.substr(0, colon);
  const std::string port = address.substr(colon + 1);
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo(host.c_str(), port.c_str(), &hints, &found) != 0) {
    errno = EADDRNOTAVAIL;
    return -1;
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> all(found, &::freeaddrinfo);
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
    const int fd = connect_to(one->ai_family, one->ai_addr, one->ai_addrlen);
    if (fd < 0) continue;
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
  }
  return -1;
}

int connect_unix(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    errno = ENAMETOOLONG;
    return -1;
  }
  path.copy(address.sun_path, path.size());
  return connect_to(AF_UNIX, reinterpret_cast<const sockaddr*>(&address), sizeof address);
}

/// The text of an error reply; empty if `frame` names `op`.
std::string refusal(wire::ByteView frame, wire::Op op) {
  const wire::Operation* found = wire::find_operation(frame);
  if (found != nullptr && found->op == op) return {};
  wire::MsgpackReader in(frame);
  std::string_view text;
  return in.read_string(text) ? obs::clean_text(text) : "a reply to another operation";
}

std::string name_of(wire::Op op) {
  for (const wire::Operation& operation : wire::all_operations())
    if (operation.op == op) return std::string(operation.name);
  return "an operation";
}

}  // namespace

bool is_port(std::string_view text) noexcept {
  constexpr std::size_t kMostDigits = 5;
  std::uint16_t port = 0;
  const char* const end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, port);
  return text.size() <= kMostDigits && read.ec == std::errc{} && read.ptr == end;
}

std::string url_error(const std::string& url) {
  const bool ipc = url.starts_with(kIpc) && url.size() > kIpc.size();
  const std::size_t colon = url.rfind(':');
  const bool tcp = url.starts_with(kTcp) && colon > kTcp.size() &&
                   is_port(std::string_view(url).substr(colon + 1));
  return ipc || tcp ? "" : "'" + url + "' is not allowed; allowed: tcp://HOST:PORT or ipc://PATH";
}

Client::Client(std::string url, milliseconds patience, Stop stop)
    : url_(std::move(url)), patience_(patience), stop_(std::move(stop)), decoder_({}) {
  fd_ = url_.starts_with(kIpc) ? connect_unix(url_.substr(kIpc.size()))
                               : connect_tcp(url_.substr(kTcp.size()));
  if (fd_ < 0) fail(std::string("cannot connect: ") + std::strerror(errno));
  try {
    shake_hands(Clock::now() + patience_);
  } catch (...) {
    ::close(fd_);
    throw;
  }
}

Client::~Client() {
  ::close(fd_);
}

void Client::hurry(milliseconds patience) {
  patience_ = patience;
  stop_ = [] { return false; };
}

void Client::fail(const std::string& text) const {
  throw std::runtime_error(url_ + ": " + text);
}

void Client::shake_hands(Clock::time_point deadline) {
  writer_.greeting();
  writer_.ready("DEALER");
  flush(deadline);
  while (next_event(deadline) != wire::ZmtpEvent::kReady) {
  }
}

Reply Client::call(wire::Op op, Frames payload) {
  const auto deadline = Clock::now() + patience_;
  const wire::Bytes uid = encode_integer(next_uid_++);
  doing_ = name_of(op);
  const wire::Bytes operation = encode_integer(static_cast<std::int64_t>(op));
  std::vector<wire::ByteView> frames{uid, operation};
  frames.insert(frames.end(), payload.begin(), payload.end());
  writer_.message(frames);
  flush(deadline);
  for (;;) {
    wire::Message message = next_message(deadline);
    if (message.frame_count() < 2 || !std::ranges::equal(message.frame(0), uid))
      continue;  // late: of a call that was given up
    if (const std::string text = refusal(message.frame(1), op); !text.empty())
      fail(doing_ + " was refused: " + text);
    return Reply(std::move(message));
  }
}

void Client::wait_until_ready(short events, Clock::time_point deadline) const {
  for (;;) {
    if (stop_()) throw Interrupted();
    const auto left = std::chrono::ceil<milliseconds>(deadline - Clock::now());
    if (left.count() <= 0) fail("no answer to " + doing_ + " in time");
    pollfd waited{fd_, events, 0};
    if (::poll(&waited, 1, static_cast<int>(std::min(left, kStopInterval).count())) > 0) return;
  }
}

void Client::flush(Clock::time_point deadline) {
  while (!writer_.empty()) {
    std::array<wire::ByteView, 1> next;
    (void)writer_.gather(next);
    const ssize_t sent = ::send(fd_, next[0].data(), next[0].size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0) {
      writer_.consume(static_cast<std::size_t>(sent));
    } else if (errno == EAGAIN || errno == EINTR) {
      wait_until_ready(POLLOUT, deadline);
    } else {
      fail("the server has closed the connection");
    }
  }
}

/// The next thing but a call for more bytes; PINGs are answered on the way.
wire::ZmtpEvent Client::next_event(Clock::time_point deadline) {
  for (;;) {
    const wire::ZmtpEvent event = decoder_.next();
    if (event == wire::ZmtpEvent::kFailed) fail("not a server: " + decoder_.error_text());
    if (event == wire::ZmtpEvent::kPing) {
      writer_.pong(decoder_.ping());
      flush(deadline);
      continue;
    }
    if (event != wire::ZmtpEvent::kNeedMore) return event;
    const std::span<std::byte> room = decoder_.prepare();
    const ssize_t got = ::recv(fd_, room.data(), room.size(), MSG_DONTWAIT);
    if (got > 0) {
      decoder_.commit(static_cast<std::size_t>(got));
    } else if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
      wait_until_ready(POLLIN, deadline);
    } else {
      fail("the server has closed the connection during " + doing_);
    }
  }
}

wire::Message Client::next_message(Clock::time_point deadline) {
  while (next_event(deadline) != wire::ZmtpEvent::kMessage) {
  }
  return std::move(decoder_.message());
}

}  // namespace lmcache::load
