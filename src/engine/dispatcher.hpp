// Where messages become requests. Runs on I/O threads: splits off uid and operation, answers at
// once what needs no work (noop, ping, chunk size, everything this server does not serve), and
// hands the rest to the connection's channel.
#pragma once

#include "engine/channel.hpp"
#include "engine/engine.hpp"
#include "net/handler.hpp"
#include "obs/rate_limit.hpp"

#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

namespace lmcache::engine {

class Dispatcher final : public net::Handler {
 public:
  explicit Dispatcher(Engine& engine) : engine_(engine) {}

  void opened(net::PeerId peer, const std::string& name) override;
  void message(net::PeerId peer, wire::Message message, net::ReplySlot slot) override;
  void closed(net::PeerId peer) override;
  void dropped(const std::string& name, const std::string& reason) override;

 private:
  struct Peer {
    std::shared_ptr<Channel> channel;
    std::shared_ptr<const std::string> name;
  };
  [[nodiscard]] Peer find(net::PeerId peer) const;
  /// True if the request has been answered here.
  [[nodiscard]] bool answer_at_once(const wire::Operation& operation, net::PeerId peer,
                                    const wire::Message& message, Responder& responder);
  void ping(net::PeerId peer, const wire::Message& message, Responder& responder);

  Engine& engine_;
  mutable std::mutex mutex_;  // guards everything below
  obs::RateLimit drops_{std::chrono::seconds{1}};
  std::unordered_map<net::PeerId, Peer> peers_;
};

}  // namespace lmcache::engine
