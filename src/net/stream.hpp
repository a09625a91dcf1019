// A connected byte stream as a session uses it: a socket, or in tests memory that fails on demand.
// All calls and callbacks on the stream's I/O thread; callbacks never run inside a call.
#pragma once

#include "wire/message.hpp"

#include <boost/system/error_code.hpp>

#include <cstddef>
#include <memory>
#include <span>

namespace lmcache::net {

/// What a stream tells its user. The stream shares ownership while something is outstanding.
class StreamUser {
 public:
  virtual ~StreamUser() = default;
  /// `size` bytes were read; 0 with an error, end of stream included.
  virtual void on_read(const boost::system::error_code& error, std::size_t size) = 0;
  virtual void on_writable(const boost::system::error_code& error) = 0;
};

class Stream {
 public:
  virtual ~Stream() = default;
  /// Reads some bytes into `into`, which must live until on_read. One at a time.
  virtual void read(std::span<std::byte> into, std::shared_ptr<StreamUser> user) = 0;
  /// Writes what fits now, without waiting; `would_block` when nothing does.
  virtual std::size_t write(std::span<const wire::ByteView> buffers,
                            boost::system::error_code& error) = 0;
  /// One at a time.
  virtual void wait_writable(std::shared_ptr<StreamUser> user) = 0;
  /// The peer sees the end of the stream once it has read all that was written.
  virtual void shutdown_write() noexcept = 0;
  /// Outstanding callbacks come with an error. Idempotent.
  virtual void close() noexcept = 0;
};

}  // namespace lmcache::net
