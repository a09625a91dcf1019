// What the network layer calls for each connection and how the layer above answers. No protocol
// above ZMTP is known here.
#pragma once

#include "obs/metrics.hpp"
#include "wire/message.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace lmcache::net {

using PeerId = std::uint64_t;  ///< unique for the life of the process, never reused

/// The right, and duty, to answer one message. Move-only, usable from any thread; exactly one
/// send() per message. Counts as one request in flight on its connection until sent or destroyed.
/// After the connection has gone, send() is a no-op.
class ReplySlot {
 public:
  struct Target {  // implemented by the connection
    virtual ~Target() = default;
    /// `frames` are the reply's frames in order (identity not included), read during the call.
    /// `took` is told how long it was until the kernel had them, where that is not at once; may be
    /// nullptr. Any thread. All or, if it throws, nothing.
    virtual void deliver(wire::FrameViews frames, obs::SecondsHistogram* took) = 0;
    /// As in Handler::opened().
    [[nodiscard]] virtual std::string_view peer_name() const noexcept = 0;
    /// The request is over without a reply (slot destroyed unsent). Any thread.
    virtual void abandon(std::size_t request_bytes) noexcept = 0;
    virtual void finished(std::size_t request_bytes) noexcept = 0;
  };
  ReplySlot() noexcept = default;
  ReplySlot(std::shared_ptr<Target> target, std::size_t request_bytes) noexcept
      : target_(std::move(target)), request_bytes_(request_bytes) {}
  ReplySlot(ReplySlot&&) noexcept = default;
  ReplySlot& operator=(ReplySlot&&) = delete;
  ~ReplySlot() {
    if (target_) target_->abandon(request_bytes_);
  }
  /// False when moved from or sent.
  [[nodiscard]] explicit operator bool() const noexcept { return target_ != nullptr; }
  /// Who is to be answered; empty when there is nothing more to send. Valid until then.
  [[nodiscard]] std::string_view peer_name() const noexcept {
    return target_ ? target_->peer_name() : std::string_view{};
  }
  /// If it throws (there is no memory for the reply) nothing was sent and another may be.
  void send(wire::FrameViews frames, obs::SecondsHistogram* took = nullptr) {
    if (!target_) return;
    target_->deliver(frames, took);
    const auto target = std::move(target_);
    target->finished(request_bytes_);
  }

 private:
  std::shared_ptr<Target> target_;
  std::size_t request_bytes_ = 0;
};

/// One connection, as the layer above sees it. Used on the connection's I/O thread, and destroyed
/// there when the connection has gone. Neither may block.
class Connection {
 public:
  virtual ~Connection() = default;
  /// In order of arrival. Whoever needs `message` longer than the call moves it away.
  virtual void message(wire::Message& message, ReplySlot slot) = 0;
  /// The peer answers heartbeats: from now on its silence ends the connection. Once at most, and
  /// before or between messages.
  virtual void proven_by_heartbeats() {}
};

/// Implemented by the request layer. Calls come from all I/O threads and may not block.
class Handler {
 public:
  virtual ~Handler() = default;
  /// After the ZMTP handshake. `name` is printable ("tcp 127.0.0.1:51234", "unix").
  [[nodiscard]] virtual std::unique_ptr<Connection> opened(PeerId peer,
                                                           const std::string& name) = 0;
  /// A connection is being dropped for what its peer did or failed to do; `reason` is one printable
  /// line. For the log only: also called for connections that never opened, before the end of
  /// others.
  virtual void dropped(const std::string& name, const std::string& reason) {
    (void)name;
    (void)reason;
  }
};

}  // namespace lmcache::net
