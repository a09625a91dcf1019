#include "net/session.hpp"

#include <boost/asio/error.hpp>

#include <array>
#include <utility>

namespace lmcache::net {
namespace {

using wire::ZmtpEvent;

// A lingering peer gets this long, and may send this much, before it is cut off.
constexpr std::chrono::seconds kLingerTime{1};
constexpr std::size_t kLingerBytes = 16u << 20;
constexpr std::size_t kTrashBytes = 16u << 10;

/// The session whose pump is running on this thread: replies to it need neither lock nor wake-up.
thread_local const Session* pumping = nullptr;

class PumpScope {
 public:
  explicit PumpScope(const Session* session) noexcept : outer_(std::exchange(pumping, session)) {}
  PumpScope(const PumpScope&) = delete;
  PumpScope& operator=(const PumpScope&) = delete;
  ~PumpScope() { pumping = outer_; }

 private:
  const Session* outer_;
};

wire::ZmtpLimits limits(const NetOptions& options) {
  return {.message_bytes = options.max_message_bytes, .frames = options.max_frames};
}

}  // namespace

Session::Session(std::shared_ptr<IoThread> io, std::shared_ptr<Shared> shared,
                 std::unique_ptr<Stream> stream, PeerId peer, std::string name)
    : io_(std::move(io)),
      shared_(std::move(shared)),
      stream_(std::move(stream)),
      peer_(peer),
      name_(std::move(name)),
      decoder_(limits(shared_->options)),
      heartbeat_(shared_->options.heartbeat_interval, shared_->options.heartbeat_timeout),
      timer_(io_->context()) {}

void Session::start() {
  guarded([this] {
    arm_timer(Heartbeat::Clock::now() + shared_->options.handshake_timeout);
    writer_.greeting();
    pump();
  });
}

void Session::drain() {
  if (state_ == State::kHandshake) return close();
  if (state_ != State::kOpen) return;
  state_ = State::kDraining;
  wants_finished_ = true;
  heartbeat_.pause();
  guarded([this] { pump(); });
}

void Session::stop() {
  close();
}

// ---- Replies, from any thread ----

void Session::deliver(wire::FrameViews frames, obs::SecondsHistogram* took) {
  if (pumping == this) {
    writer_.message(frames);
    return;
  }
  const std::lock_guard lock{mutex_};
  if (closed_) return;
  post_wake();  // first, as all that may throw: a reply is queued last, and then it is
  if (took != nullptr) queued_.ways.reserve(queued_.ways.size() + 1);
  queued_.replies.message(frames);
  if (took != nullptr) queued_.ways.push_back({took, Heartbeat::Clock::now()});
}

void Session::abandon(std::size_t request_bytes) noexcept {
  finished(request_bytes);
}

// Sequentially consistent against may_continue(): either it sees the higher count, or we see its
// wish.
void Session::finished(std::size_t request_bytes) noexcept {
  if (pumping == this) {
    taken_ -= 1;
    taken_bytes_ -= request_bytes;
    return;
  }
  over_bytes_.fetch_add(request_bytes);
  over_.fetch_add(1);
  if (!wants_finished_) return;
  const std::lock_guard lock{mutex_};
  post_wake();
}

// Posts under the lock: a loop that may still hold an open session has not run dry. A handler
// posted after that would never be run, and would keep its session, and that its loop, for ever.
void Session::post_wake() {
  if (closed_ || wake_posted_) return;
  io_->post([self = shared_from_this()] { self->guarded([&self] { self->woken(); }); });
  wake_posted_ = true;
}

void Session::woken() {
  Queued queued;
  {
    const std::lock_guard lock{mutex_};
    wake_posted_ = false;
    std::swap(queued, queued_);
  }
  if (state_ == State::kLingering || state_ == State::kClosed) return;
  if (writer_.empty()) {
    std::swap(writer_, queued.replies);  // a large reply is not copied once more
  } else {
    writer_.append(queued.replies);
  }
  pump();
  const Time now = Heartbeat::Clock::now();
  for (const auto& way : queued.ways)
    way.took->observe(std::chrono::duration<double>(now - way.begun_at).count());
}

// ---- The pump ----

void Session::pump() {
  process_input();
  flush();
  if (reads_requests() && !reading_ && !paused_) start_read();
  if (state_ == State::kDraining && writer_.empty() && all_answered()) linger();
  count_unsent();
}

void Session::process_input() {
  const PumpScope scope{this};
  std::uint64_t messages = 0;
  while (reads_requests() && !reading_ && may_continue()) {
    const ZmtpEvent event = decoder_.next();
    if (event == ZmtpEvent::kNeedMore) break;
    if (event == ZmtpEvent::kMessage && identity_held_) ++messages;
    handle(event);
  }
  if (messages > 0) Counters::add(shared_->counters.messages_in, messages);
}

bool Session::may_continue() {
  const std::uint64_t unsent_max = shared_->options.max_unsent_bytes;
  // After a flush either nothing is left or writing_ is set: on_writable will be back here.
  if (unsent_paused_ || writer_.bytes() > unsent_max) flush();
  if (!reads_requests()) return false;
  unsent_paused_ = writer_.bytes() > (unsent_paused_ ? unsent_max / 2 : unsent_max);
  bool inflight_paused = over_inflight();
  if (inflight_paused) {
    wants_finished_ = true;
    inflight_paused = over_inflight();
  }
  if (!inflight_paused && wants_finished_) wants_finished_ = false;
  const bool blocked = unsent_paused_ || inflight_paused || parked_.has_value();
  set_paused(blocked);
  return !blocked;
}

bool Session::over_inflight() const noexcept {
  return taken_ - over_ >= shared_->options.max_inflight ||
         taken_bytes_ - over_bytes_ >= shared_->options.max_message_bytes;
}

void Session::set_paused(bool paused) {
  if (paused == paused_) return;
  paused_ = paused;
  if (paused) {
    Counters::add(shared_->counters.paused);
    heartbeat_.pause();
  } else {
    Counters::sub(shared_->counters.paused);
    heartbeat_.resume(Heartbeat::Clock::now());
    if (state_ != State::kClosed && timer_at_ == Time::max()) arm_timer(heartbeat_.next());
  }
}

void Session::handle(ZmtpEvent event) {
  switch (event) {
    case ZmtpEvent::kNeedMore:
      break;
    case ZmtpEvent::kGreeting:
      writer_.ready();
      break;
    case ZmtpEvent::kReady:
      opened();
      break;
    case ZmtpEvent::kMessage:
      if (identity_held_) {
        dispatch(decoder_.message());
      } else {
        parked_ = std::move(decoder_.message());
      }
      break;
    case ZmtpEvent::kPing:
      writer_.pong(decoder_.ping());
      heartbeat_.peer_ping(std::chrono::milliseconds{100} * decoder_.ping().ttl_ds);
      arm_timer(heartbeat_.next());
      break;
    case ZmtpEvent::kPong:
      if (!heartbeat_.judges()) {
        heartbeat_.peer_pong();
        if (heartbeat_.judges()) above_->proven_by_heartbeats();
      }
      break;
    case ZmtpEvent::kFailed:
      protocol_error();
      break;
  }
}

void Session::opened() {
  state_ = State::kOpen;
  const wire::ZmtpPeer& peer = decoder_.peer();
  identity_ = peer.identity;
  if (!identity_.empty()) {
    identity_held_ =
        shared_->identities.claim(identity_, peer_, [weak = weak_from_this(), io = io_] {
          io->post([weak] {
            if (const auto self = weak.lock()) self->guarded([&self] { self->identity_granted(); });
          });
        });
  }
  heartbeat_.start(Heartbeat::Clock::now(), peer.minor >= 1);
  arm_timer(heartbeat_.next());
  above_ = shared_->handler.opened(peer_, name_);
  if (heartbeat_.judges()) above_->proven_by_heartbeats();
}

void Session::identity_granted() {
  if (state_ == State::kClosed || state_ == State::kLingering) return;
  identity_held_ = true;
  if (parked_) {
    wire::Message message = std::move(*parked_);
    parked_.reset();
    if (state_ == State::kOpen) {
      const PumpScope scope{this};
      Counters::add(shared_->counters.messages_in);
      dispatch(message);
    }
  }
  pump();
}

void Session::dispatch(wire::Message& message) {
  const std::size_t bytes = message.byte_count();
  taken_ += 1;
  taken_bytes_ += bytes;
  above_->message(message, ReplySlot{shared_from_this(), bytes});
}

void Session::protocol_error() {
  const wire::ZmtpError error = decoder_.error();
  Counters::add(shared_->counters.protocol_errors[static_cast<std::size_t>(error)]);
  shared_->handler.dropped(name_, decoder_.error_text());
  if (!wire::owes_error_command(error)) return close();
  writer_.error(wire::explain(error));
  flush();
  linger();
}

void Session::on_read(const boost::system::error_code& error, std::size_t size) {
  guarded([&] { received(error, size); });
}

void Session::received(const boost::system::error_code& error, std::size_t size) {
  reading_ = false;
  if (state_ == State::kClosed) return;
  if (error) return close();
  Counters::add(shared_->counters.bytes_in, size);
  if (state_ == State::kLingering) {
    trashed_ += size;
    if (trashed_ > kLingerBytes) return close();
    return start_read();
  }
  heartbeat_.received(Heartbeat::Clock::now());
  decoder_.commit(size);
  pump();
}

// A reply is queued before its request stops counting, so in this order none is overlooked.
bool Session::all_answered() {
  if (taken_ != over_) return false;
  const std::lock_guard lock{mutex_};
  return queued_.replies.empty();
}

void Session::start_read() {
  reading_ = true;
  stream_->read(state_ == State::kLingering ? std::span{trash_} : decoder_.prepare(),
                shared_from_this());
}

void Session::flush() {
  if (writing_ || state_ == State::kClosed) return;
  while (!writer_.empty()) {
    std::array<wire::ByteView, 64> buffers;
    const std::size_t count = writer_.gather(buffers);
    boost::system::error_code error;
    const std::size_t sent = stream_->write({buffers.data(), count}, error);
    if (error == boost::asio::error::would_block) {
      writing_ = true;
      stream_->wait_writable(shared_from_this());
      return;
    }
    if (error) return close();
    Counters::add(shared_->counters.bytes_out, sent);
    writer_.consume(sent);
  }
}

void Session::on_writable(const boost::system::error_code& error) {
  guarded([&] { writable(error); });
}

void Session::writable(const boost::system::error_code& error) {
  writing_ = false;
  if (state_ == State::kClosed) return;
  if (error) return close();
  if (state_ == State::kLingering) return;
  flush();
  pump();
}

void Session::count_unsent() {
  const std::size_t now = writer_.bytes();
  auto& gauge = shared_->counters.unsent;
  if (now > unsent_counted_) Counters::add(gauge, now - unsent_counted_);
  if (now < unsent_counted_) Counters::sub(gauge, unsent_counted_ - now);
  unsent_counted_ = now;
}

// ---- Time ----

// One timer for everything; an early one looks again and goes back to sleep.
void Session::arm_timer(Time at) {
  timer_at_ = at;
  if (at == Time::max()) {
    timer_.cancel();
    return;
  }
  timer_.expires_at(at);
  timer_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
    if (!error) self->guarded([&self] { self->on_timer(); });
  });
}

void Session::on_timer() {
  const Time now = Heartbeat::Clock::now();
  if (now < timer_at_) return;  // had fired before it was set anew
  switch (state_) {
    case State::kHandshake:
      Counters::add(shared_->counters.handshake_timeouts);
      drop("no complete ZMTP handshake in time");
      break;
    case State::kOpen:
    case State::kDraining:
      beat(now);
      break;
    case State::kLingering:
      close();
      break;
    case State::kClosed:
      break;
  }
}

void Session::beat(Time now) {
  switch (heartbeat_.check(now)) {
    case Heartbeat::Action::kNothing:
      break;
    case Heartbeat::Action::kPing:
      // Also while we do not read: a write is then the only way to learn that the peer has gone.
      // Not behind bytes that wait already; they do the same.
      if (writer_.empty()) writer_.ping(0);
      pump();
      break;
    case Heartbeat::Action::kDead:
      Counters::add(shared_->counters.heartbeat_timeouts);
      return drop("silent: no answer to heartbeats");
  }
  if (state_ == State::kOpen || state_ == State::kDraining) arm_timer(heartbeat_.next());
}

// ---- The way out ----

void Session::drop(const std::string& reason) {
  shared_->handler.dropped(name_, reason);
  close();
}

void Session::failed(const std::exception& error) noexcept {
  try {
    shared_->handler.dropped(name_, std::string("failed: ") + error.what());
  } catch (const std::exception&) {
    // There is no memory even to say so.
  }
  close();
}

void Session::linger() {
  if (state_ == State::kClosed) return;
  if (!writer_.empty()) return close();
  leave();
  set_paused(false);
  state_ = State::kLingering;
  stream_->shutdown_write();
  trash_.resize(kTrashBytes);
  arm_timer(Heartbeat::Clock::now() + kLingerTime);
  if (!reading_) start_read();
}

void Session::leave() {
  const auto above = std::move(above_);
  const std::string identity = std::exchange(identity_, {});
  if (!identity.empty()) shared_->identities.release(identity, peer_);
}

void Session::close() {
  if (state_ == State::kClosed) return;
  state_ = State::kClosed;
  set_paused(false);
  Queued unsent;  // destroyed outside the lock
  {
    const std::lock_guard lock{mutex_};
    closed_ = true;
    std::swap(unsent, queued_);
  }
  leave();
  stream_->close();
  timer_.cancel();
  parked_.reset();
  writer_.clear();
  count_unsent();
  io_->forget(peer_);
  shared_->close_connection();
}

}  // namespace lmcache::net
