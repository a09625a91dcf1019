// A net::Stream made of memory: the test plays the peer, limits what a write takes, and can let the
// Nth operation fail. Callbacks come from the io_context, as a socket's do. One thread.
#pragma once

#include "net/asio_types.hpp"
#include "net/stream.hpp"

#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace lmcache::test {

/// The peer's end; shared with the stream and outliving it.
class MemoryPeer {
 public:
  explicit MemoryPeer(boost::asio::io_context& context) : context_(context) {}

  void send(std::string_view bytes) {
    input_ += bytes;
    complete();
  }
  void hang_up() {
    ended_ = true;
    complete();
  }
  /// From now on writes take this many bytes altogether, then would block.
  void set_room(std::size_t bytes) {
    room_ = bytes;
    complete();
  }
  /// Counted from 0 over reads, writes and waits; it and all later ones fail.
  void fail_from(int operation) { fail_from_ = operation; }

  [[nodiscard]] const std::string& received() const { return output_; }
  [[nodiscard]] std::string take_received() { return std::exchange(output_, {}); }
  [[nodiscard]] int operations() const { return operations_; }
  [[nodiscard]] int writes() const { return writes_; }
  [[nodiscard]] bool reading() const { return reader_ != nullptr; }
  [[nodiscard]] bool shut_down() const { return shut_down_; }
  [[nodiscard]] bool closed() const { return closed_; }

 private:
  friend class MemoryStream;
  using Error = boost::system::error_code;

  bool fails() { return fail_from_ >= 0 && operations_++ >= fail_from_; }

  void complete() {
    if (reader_ && (closed_ || read_failed_ || ended_ || !input_.empty())) {
      Error error;
      std::size_t size = 0;
      if (closed_) {
        error = boost::asio::error::operation_aborted;
      } else if (read_failed_) {
        error = boost::asio::error::connection_reset;
      } else if (input_.empty()) {
        error = boost::asio::error::eof;
      } else {
        size = std::min(input_.size(), into_.size());
        std::memcpy(into_.data(), input_.data(), size);
        input_.erase(0, size);
      }
      boost::asio::post(context_, [user = std::exchange(reader_, nullptr), error, size] {
        user->on_read(error, size);
      });
    }
    if (waiter_ && (closed_ || wait_failed_ || room_ != 0)) {
      Error error;
      if (wait_failed_) error = boost::asio::error::connection_reset;
      if (closed_) error = boost::asio::error::operation_aborted;
      boost::asio::post(
          context_, [user = std::exchange(waiter_, nullptr), error] { user->on_writable(error); });
    }
  }

  boost::asio::io_context& context_;
  std::string input_, output_;
  std::size_t room_ = SIZE_MAX;
  int operations_ = 0, writes_ = 0, fail_from_ = -1;
  bool ended_ = false, shut_down_ = false, closed_ = false;
  bool read_failed_ = false, wait_failed_ = false;
  std::span<std::byte> into_;
  std::shared_ptr<net::StreamUser> reader_, waiter_;
};

class MemoryStream final : public net::Stream {
 public:
  explicit MemoryStream(std::shared_ptr<MemoryPeer> peer) : peer_(std::move(peer)) {}

  void read(std::span<std::byte> into, std::shared_ptr<net::StreamUser> user) override {
    peer_->into_ = into;
    peer_->reader_ = std::move(user);
    peer_->read_failed_ = peer_->fails();
    peer_->complete();
  }
  std::size_t write(std::span<const wire::ByteView> buffers,
                    boost::system::error_code& error) override {
    ++peer_->writes_;
    if (peer_->fails()) error = boost::asio::error::broken_pipe;
    if (!error && peer_->room_ == 0) error = boost::asio::error::would_block;
    if (error) return 0;
    std::size_t sent = 0;
    for (const wire::ByteView buffer : buffers) {
      const std::size_t n = std::min(buffer.size(), peer_->room_);
      peer_->output_.append(reinterpret_cast<const char*>(buffer.data()), n);
      peer_->room_ -= peer_->room_ == SIZE_MAX ? 0 : n;
      sent += n;
    }
    return sent;
  }
  void wait_writable(std::shared_ptr<net::StreamUser> user) override {
    peer_->waiter_ = std::move(user);
    peer_->wait_failed_ = peer_->fails();
    peer_->complete();
  }
  void shutdown_write() noexcept override { peer_->shut_down_ = true; }
  void close() noexcept override {
    peer_->closed_ = true;
    peer_->complete();
  }

 private:
  std::shared_ptr<MemoryPeer> peer_;
};

}  // namespace lmcache::test
