// One request on its way through the engine: decoded, prepared, given its turn, run, answered.
#pragma once

#include "engine/ordering.hpp"
#include "engine/responder.hpp"
#include "net/handler.hpp"
#include "wire/message.hpp"
#include "wire/operations.hpp"

#include <functional>
#include <memory>
#include <vector>

namespace lmcache::engine {

class Engine;

class Request {
 public:
  virtual ~Request() = default;
  /// What it touches; fixed once the request is made.
  [[nodiscard]] virtual std::vector<OrderKey> keys() const = 0;
  /// Work that touches no shared state and may take long (hashing). Called on a request thread,
  /// before the request's turn, until it returns true.
  [[nodiscard]] virtual bool prepare() { return true; }
  /// The request's turn has not come yet; it may give up waiting by itself.
  virtual void blocked() {}
  /// The request's turn. Sends the one reply, and calls `finished` exactly once, now or later, from
  /// any thread.
  virtual void run(std::function<void()> finished) = 0;
  /// The request's turn has come; called right before run().
  virtual void begin() = 0;
  /// The connection has gone before the request's turn.
  virtual void discard() = 0;
};

/// What a request is made from.
struct Arrival {
  net::PeerId peer = 0;
  wire::Message message;
  Responder responder;
};

/// What every request has: whom to answer, and how.
class AnsweredRequest : public Request {
 public:
  /// Takes the responder; the message stays the caller's, whose views may still point into it.
  AnsweredRequest(Engine& engine, Arrival& arrival)
      : engine_(engine), peer_(arrival.peer), responder_(std::move(arrival.responder)) {}
  void begin() override { responder_.begun(); }
  void discard() override { responder_.discard(); }

 protected:
  Engine& engine_;
  net::PeerId peer_;
  Responder responder_;
};

/// A T from what its decoder gave, or the decoder's failure answered.
template <class T, class Decoded>
[[nodiscard]] std::shared_ptr<Request> make_decoded(Engine& engine, Arrival arrival,
                                                    Result<Decoded> decoded) {
  if (!decoded) {
    arrival.responder.fail(decoded.error());
    return nullptr;
  }
  return std::make_shared<T>(engine, std::move(arrival), std::move(*decoded));
}

/// Decodes a served operation other than those the dispatcher answers at once. nullptr: it has been
/// answered (malformed, or nothing was left to do).
[[nodiscard]] std::shared_ptr<Request> make_request(Engine& engine,
                                                    const wire::Operation& operation,
                                                    Arrival arrival);

}  // namespace lmcache::engine
