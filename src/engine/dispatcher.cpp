#include "engine/dispatcher.hpp"

#include "obs/log.hpp"

#include <boost/asio/post.hpp>

namespace lmcache::engine {
namespace {

wire::Bytes copy_frame(wire::ByteView frame) {
  return {frame.begin(), frame.end()};
}

Error wrong_frame_count(const wire::Operation& operation, std::size_t found) {
  return {Cause::kMalformed, "takes " + std::to_string(operation.payload_frames) +
                                 " payload frames, got " + std::to_string(found)};
}

}  // namespace

void Dispatcher::opened(net::PeerId peer, const std::string& name) {
  engine_.lookups().open(peer);
  engine_.instances().open(peer);
  const std::lock_guard lock(mutex_);
  peers_[peer] = {std::make_shared<Channel>(engine_), std::make_shared<const std::string>(name)};
}

void Dispatcher::closed(net::PeerId peer) {
  Peer gone = find(peer);
  {
    const std::lock_guard lock(mutex_);
    peers_.erase(peer);
  }
  if (gone.channel) gone.channel->close();
  // Releasing many leases and unmapping a large segment take time that an I/O thread does not have.
  boost::asio::post(engine_.threads(), [&engine = engine_, peer, name = gone.name] {
    engine.lookups().close(peer);
    for (const InstancePtr& worker : engine.instances().close(peer)) {
      if (worker->memory) engine.devices().abandon(worker->memory);
      obs::log_event(obs::Level::kInfo, "worker gone with its connection",
                     {{"instance", worker->id}, {"peer", *name}});
    }
  });
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

Dispatcher::Peer Dispatcher::find(net::PeerId peer) const {
  const std::lock_guard lock(mutex_);
  const auto found = peers_.find(peer);
  return found == peers_.end() ? Peer{} : found->second;
}

void Dispatcher::message(net::PeerId peer, wire::Message message, net::ReplySlot slot) {
  const Peer connection = find(peer);
  const std::size_t frames = message.frame_count();
  // A control message of a stream (empty operation, "ack" or "cancel"). No stream is ever open
  // here, and controls of unknown streams are to be ignored.
  if (frames >= 2 && message.frame(1).empty()) return;

  const wire::Operation* operation = frames >= 2 ? wire::find_operation(message.frame(1)) : nullptr;
  Responder responder(std::move(slot), copy_frame(message.frame(0)),
                      frames >= 2 ? copy_frame(message.frame(1)) : wire::Bytes{}, operation,
                      connection.name);
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
  if (answer_at_once(*operation, peer, message, responder)) return;
  if (operation->op == wire::Op::kRegisterKvCache) {
    // Known from now on: a heartbeat overtakes a registration that takes its time.
    if (const auto id = wire::decode_instance(message.frame(wire::kFirstPayload)))
      engine_.instances().announce(peer, *id);
  }
  connection.channel->push(*operation, {peer, std::move(message), std::move(responder)});
}

bool Dispatcher::answer_at_once(const wire::Operation& operation, net::PeerId peer,
                                const wire::Message& message, Responder& responder) {
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
      ping(peer, message, responder);
      return true;
    default:
      return false;
  }
}

void Dispatcher::ping(net::PeerId peer, const wire::Message& message, Responder& responder) {
  const auto id = wire::decode_optional_instance(message.frame(wire::kFirstPayload));
  if (!id) return responder.fail(id.error());
  responder.boolean(!*id || engine_.instances().ping(peer, **id, Clock::now()));
}

}  // namespace lmcache::engine
