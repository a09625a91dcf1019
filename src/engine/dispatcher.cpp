#include "engine/dispatcher.hpp"

#include "engine/channel.hpp"
#include "engine/coming_transfer.hpp"
#include "obs/log.hpp"

#include <boost/asio/post.hpp>

namespace lmcache::engine {
namespace {

Error wrong_frame_count(const wire::Operation& operation, std::size_t found) {
  return {Cause::kMalformed, "takes " + std::to_string(operation.payload_frames) +
                                 " payload frames, got " + std::to_string(found)};
}

/// No stream is ever open here, and controls of unknown streams are to be ignored.
bool is_stream_control(const wire::Message& message) {
  if (message.frame_count() != 3 || !message.frame(1).empty()) return false;
  const wire::ByteView control = message.frame(2);
  const std::string_view text(reinterpret_cast<const char*>(control.data()), control.size());
  return text == "ack" || text == "cancel";
}

/// One connection's messages. Its requests may outlive it in the channel, which is told.
class Peer final : public net::Connection {
 public:
  Peer(Engine& engine, net::PeerId id, const std::string& name)
      : engine_(engine), id_(id), name_(name), channel_(std::make_shared<Channel>(engine)) {
    engine_.lookups().open(id_);
    engine_.instances().open(id_);
  }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;
  ~Peer() override;

  void message(wire::Message& message, net::ReplySlot slot) override;
  void proven_by_heartbeats() override { engine_.instances().prove(id_); }

 private:
  /// True if the request has been answered here.
  [[nodiscard]] bool answer_at_once(const wire::Operation& operation, const wire::Message& message,
                                    Responder& responder);
  void ping(const wire::Message& message, Responder& responder);

  Engine& engine_;
  const net::PeerId id_;
  const std::string name_;
  const std::shared_ptr<Channel> channel_;
};

Peer::~Peer() {
  channel_->close();
  // Releasing many leases and unmapping a large segment take time that an I/O thread does not have.
  boost::asio::post(engine_.threads(), [&engine = engine_, peer = id_, name = name_] {
    engine.lookups().close(peer);
    for (const InstancePtr& worker : engine.instances().close(peer)) {
      if (worker->memory) engine.devices().abandon(worker->memory);
      obs::log_event(obs::Level::kInfo, "worker gone with its connection",
                     {{"instance", worker->id}, {"peer", name}});
    }
  });
}

void Peer::message(wire::Message& message, net::ReplySlot slot) {
  const std::size_t frames = message.frame_count();
  if (is_stream_control(message)) return;

  const wire::Operation* operation = frames >= 2 ? wire::find_operation(message.frame(1)) : nullptr;
  Responder responder(std::move(slot), message, operation);
  if (frames < 2)
    return responder.fail({Cause::kMalformed, "a request needs a uid and an operation frame"});
  if (!operation) {
    return responder.fail(
        {Cause::kUnknownOperation, "the operation frame names no operation of the protocol"});
  }
  if (!operation->served) {
    return responder.fail({Cause::kNotServed, "this server does not offer the operation"});
  }
  const std::size_t payload = frames - wire::kFirstPayload;
  if (payload != operation->payload_frames)
    return responder.fail(wrong_frame_count(*operation, payload));
  if (answer_at_once(*operation, message, responder)) return;
  if (operation->op == wire::Op::kRegisterKvCache) {
    // Known from now on: a heartbeat overtakes a registration that takes its time.
    if (const auto id = wire::decode_instance(message.frame(wire::kFirstPayload)))
      engine_.instances().announce(id_, *id);
  }
  const auto coming = coming_transfer(*operation, message);
  const bool next = channel_->push(*operation, {id_, std::move(message), std::move(responder)});
  if (coming && next) expect(engine_, id_, *coming);
}

bool Peer::answer_at_once(const wire::Operation& operation, const wire::Message& message,
                          Responder& responder) {
  switch (operation.op) {
    case wire::Op::kNoop:
      responder.string("OK");
      return true;
    case wire::Op::kGetChunkSize:
      responder.integer(engine_.config().chunk_size);
      return true;
    case wire::Op::kGetExperimental:
      responder.empty_list();
      return true;
    case wire::Op::kPing:
      ping(message, responder);
      return true;
    default:
      return false;
  }
}

void Peer::ping(const wire::Message& message, Responder& responder) {
  const auto id = wire::decode_optional_instance(message.frame(wire::kFirstPayload));
  if (!id) return responder.fail(id.error());
  responder.boolean(!*id || engine_.instances().ping(id_, **id, Clock::now()));
}

}  // namespace

std::unique_ptr<net::Connection> Dispatcher::opened(net::PeerId peer, const std::string& name) {
  return std::make_unique<Peer>(engine_, peer, name);
}

void Dispatcher::dropped(const std::string& name, const std::string& reason) {
  std::optional<std::uint64_t> held_back;
  {
    const std::lock_guard lock(mutex_);
    held_back = drops_.admit(Clock::now());
  }
  if (!held_back) return;
  obs::log_event(obs::Level::kWarn, "connection dropped",
                 {{"peer", name}, {"reason", reason}, {"not_logged", *held_back}});
}

}  // namespace lmcache::engine
