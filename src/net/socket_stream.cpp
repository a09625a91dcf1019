#include "net/socket_stream.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

namespace lmcache::net {
namespace {

namespace asio = boost::asio;

class SocketStream final : public Stream {
 public:
  explicit SocketStream(Socket socket) : socket_(std::move(socket)) {}

  void read(std::span<std::byte> into, std::shared_ptr<StreamUser> user) override {
    socket_.async_read_some(
        asio::buffer(into.data(), into.size()),
        [user = std::move(user)](const boost::system::error_code& error, std::size_t size) {
          user->on_read(error, size);
        });
  }

  // Not Asio's write_some: that would wait inside for a socket whose flag it has not set itself.
  std::size_t write(std::span<const wire::ByteView> buffers,
                    boost::system::error_code& error) override {
    std::array<iovec, 64> parts;
    const std::size_t count = std::min(parts.size(), buffers.size());
    for (std::size_t i = 0; i < count; ++i) {
      // sendmsg does not write to what it sends; iovec has no const form.
      parts[i] = {const_cast<std::byte*>(buffers[i].data()), buffers[i].size()};
    }
    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = count;
    ssize_t sent = 0;
    do {
      sent = ::sendmsg(socket_.native_handle(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (sent < 0 && errno == EINTR);
    if (sent >= 0) return static_cast<std::size_t>(sent);
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
      error = asio::error::would_block;
    } else {
      error.assign(errno, boost::system::system_category());
    }
    return 0;
  }

  void wait_writable(std::shared_ptr<StreamUser> user) override {
    socket_.async_wait(Socket::wait_write,
                       [user = std::move(user)](const boost::system::error_code& error) {
                         user->on_writable(error);
                       });
  }

  void shutdown_write() noexcept override {
    boost::system::error_code ignored;
    socket_.shutdown(Socket::shutdown_send, ignored);
  }

  void close() noexcept override {
    boost::system::error_code ignored;
    socket_.close(ignored);
  }

 private:
  Socket socket_;
};

}  // namespace

std::unique_ptr<Stream> make_socket_stream(Socket socket) {
  return std::make_unique<SocketStream>(std::move(socket));
}

}  // namespace lmcache::net
