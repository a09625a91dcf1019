// One connection: handshake, messages to the handler, replies back, limits, heartbeats, the way
// out. Internal to src/net.
//
// Life: kHandshake -> kOpen -> (kDraining) -> (kLingering) -> kClosed. Lingering means: all is said
// and the stream is shut down for writing; what the peer still sends is thrown away until it hangs
// up, as a close with unread input would make the kernel discard output that is still on its way.
//
// Threads. Everything runs on the I/O thread except deliver, abandon and finished. They write
// replies to queued_ and post one wake-up however many there are; a reply given from inside
// Connection::message skips even that and goes out with the write at the end of the pump.
//
// Exceptions. What throws here, in the layer above too, is a lack of memory: it costs its own
// connection (guarded()), not the thread and all others that live on it.
#pragma once

#include "net/asio_types.hpp"
#include "net/handler.hpp"
#include "net/heartbeat.hpp"
#include "net/io_thread.hpp"
#include "net/shared.hpp"
#include "net/stream.hpp"
#include "wire/zmtp_decoder.hpp"
#include "wire/zmtp_writer.hpp"

#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lmcache::net {

class Session final : public ReplySlot::Target,
                      public StreamUser,
                      public std::enable_shared_from_this<Session> {
 public:
  /// The connection has its place already (Shared::open_connection); it gives it back when it
  /// closes.
  Session(std::shared_ptr<IoThread> io, std::shared_ptr<Shared> shared,
          std::unique_ptr<Stream> stream, PeerId peer, std::string name);
  ~Session() override = default;

  void start();
  /// Reads no more requests; closes when those in flight are answered and sent.
  void drain();
  void stop();

  void deliver(wire::FrameViews frames, obs::SecondsHistogram* took) override;
  [[nodiscard]] std::string_view peer_name() const noexcept override { return name_; }
  void abandon(std::size_t request_bytes) noexcept override;
  void finished(std::size_t request_bytes) noexcept override;

  void on_read(const boost::system::error_code& error, std::size_t size) override;
  void on_writable(const boost::system::error_code& error) override;

 private:
  enum class State : std::uint8_t { kHandshake, kOpen, kDraining, kLingering, kClosed };
  using Time = Heartbeat::Time;

  [[nodiscard]] bool reads_requests() const noexcept {
    return state_ == State::kHandshake || state_ == State::kOpen;
  }
  /// Every way in from the loop goes through here.
  template <class Step>
  void guarded(Step step) noexcept {
    try {
      step();
    } catch (const std::exception& error) {
      failed(error);
    }
  }
  void failed(const std::exception& error) noexcept;
  /// Handles what has arrived, sends what there is to send, reads on: after every event.
  void pump();
  void process_input();
  /// False when a limit forbids to take another request now; what ends that leads to pump().
  bool may_continue();
  [[nodiscard]] bool over_inflight() const noexcept;
  void set_paused(bool paused);
  void handle(wire::ZmtpEvent event);
  void opened();
  void dispatch(wire::Message& message);
  void protocol_error();
  void flush();
  void start_read();
  bool all_answered();
  void count_unsent();

  void received(const boost::system::error_code& error, std::size_t size);
  void writable(const boost::system::error_code& error);
  void post_wake();  ///< with mutex_ held
  void woken();
  void identity_granted();

  void arm_timer(Time at);
  void on_timer();
  void beat(Time now);

  void drop(const std::string& reason);
  void linger();
  /// Tells the layer above and the identity table, once.
  void leave();
  void close();

  const std::shared_ptr<IoThread> io_;  // first: outlives the timer and the stream
  const std::shared_ptr<Shared> shared_;
  const std::unique_ptr<Stream> stream_;
  const PeerId peer_;
  const std::string name_;

  State state_ = State::kHandshake;
  wire::ZmtpDecoder decoder_;
  wire::ZmtpWriter writer_;
  std::vector<std::byte> trash_;  ///< where a lingering stream reads to
  std::size_t trashed_ = 0;
  bool reading_ = false;        ///< a read is outstanding
  bool writing_ = false;        ///< waiting for the socket to take more
  bool paused_ = false;         ///< a limit keeps us from reading
  bool unsent_paused_ = false;  ///< that limit is max_unsent_bytes; ends at half of it
  std::size_t unsent_counted_ = 0;

  std::unique_ptr<Connection> above_;  ///< from the handshake to the end
  std::string identity_;
  bool identity_held_ = true;  ///< false: another connection has it
  std::optional<wire::Message>
      parked_;  ///< first message of a connection that waits for its identity

  Heartbeat heartbeat_;
  Timer timer_;
  Time timer_at_ = Time::max();

  // In flight are the requests taken less those that are over. What is answered from inside
  // Connection::message is taken off at once, without an atomic.
  std::uint64_t taken_ = 0, taken_bytes_ = 0;
  std::atomic<std::uint64_t> over_{0}, over_bytes_{0};  ///< of other threads
  std::atomic<bool> wants_finished_{false};             ///< finished() shall wake us

  /// Replies of other threads, and whom to tell how long each was on its way.
  struct Queued {
    struct Way {
      obs::SecondsHistogram* took;
      Time begun_at;
    };
    wire::ZmtpWriter replies;
    std::vector<Way> ways;
  };
  std::mutex mutex_;  ///< guards the three below; under it only the loop's post() is called
  Queued queued_;
  bool wake_posted_ = false;
  bool closed_ = false;  ///< nothing may be posted any more
};

}  // namespace lmcache::net
