// The one reply of one request, in the forms of PROTOCOL.md "Replies". Move-only, any thread. A
// responder that is destroyed unanswered answers with an error by itself, so no path through the
// engine can leave a client waiting.
#pragma once

#include "net/handler.hpp"
#include "wire/operations.hpp"

#include <lmcache/status.hpp>

#include <boost/container/small_vector.hpp>

#include <chrono>
#include <cstddef>
#include <string_view>
#include <utility>

namespace lmcache::wire {
class MsgpackWriter;
}

namespace lmcache::engine {

class Responder {
 public:
  /// `operation` is null when the frame named none we know. uid and operation frames are echoed as
  /// they came.
  Responder(net::ReplySlot slot, const wire::Message& request, const wire::Operation* operation);
  Responder(Responder&&) noexcept = default;
  Responder& operator=(Responder&&) = delete;
  ~Responder();

  /// The request goes to a queue; from now on its times are measured.
  void queued() noexcept;
  /// Its turn has come.
  void begun() noexcept;

  void none();
  void boolean(bool value);
  void integer(std::int64_t value);
  void string(std::string_view value);
  void empty_list();
  /// [completion event, ok]
  void transfer(wire::ByteView event, bool ok);
  /// The failure form of the operation; counted and logged. `event` is what a failed store or
  /// retrieve hands back.
  void fail(const Error& error, wire::ByteView event = {});
  /// Nobody is there to be answered.
  void discard() noexcept { const net::ReplySlot gone(std::move(slot_)); }

 private:
  /// The answer is on its way: counts it and its times. Returns where the time of its way is
  /// counted; nullptr for what was answered on the spot.
  [[nodiscard]] obs::SecondsHistogram* count() const noexcept;
  /// uid, operation as it came, and a value.
  void answer(const wire::MsgpackWriter& value);
  [[nodiscard]] wire::ByteView uid() const noexcept;
  [[nodiscard]] wire::ByteView operation_frame() const noexcept;
  void send(wire::FrameViews frames);

  using Time = std::chrono::steady_clock::time_point;
  net::ReplySlot slot_;                                 // empty once answered
  boost::container::small_vector<std::byte, 32> head_;  ///< uid and operation frame
  std::size_t uid_bytes_;
  const wire::Operation* operation_;
  Time queued_at_{}, begun_at_{};  // zero: not yet, or answered on the spot
};

}  // namespace lmcache::engine
