#include "engine/prefix_requests.hpp"

#include "engine/engine.hpp"
#include "obs/metrics.hpp"

#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <atomic>
#include <optional>

namespace lmcache::engine {
namespace {

class Lookup final : public AnsweredRequest {
 public:
  Lookup(Engine& engine, Arrival arrival, wire::Key key)
      : AnsweredRequest(engine, arrival), key_(std::move(key)) {
    const std::uint64_t tokens = std::min<std::uint64_t>(key_.end, key_.tokens->size());
    const auto chunks = static_cast<std::uint32_t>(tokens / engine_.config().chunk_size);
    chain_.emplace(engine_.chains(), std::move(key_.tokens), chunks);
  }

  std::vector<OrderKey> keys() const override { return {key_.request_id}; }

  bool prepare() override { return chain_->step(); }

  void run(std::function<void()> finished) override {
    // Asked only now: a worker may have registered, and stored, while this request waited for its
    // turn.
    const auto layouts = engine_.instances().layouts(key_.keyspace.model, key_.keyspace.world_size);
    Lease lease = engine_.cache().lookup(key_.keyspace, chain_->hashes(), layouts);
    count(layouts, lease.chunks());
    const auto hit = chain_->hashes().first(lease.chunks());
    engine_.lookups().put(peer_, key_.request_id, key_.keyspace, hit, std::move(lease),
                          key_.num_kv_readers, Clock::now());
    responder_.none();
    finished();
  }

 private:
  void count(std::span<const LayoutPtr> layouts, std::uint32_t hit) const {
    auto& row = obs::metrics().lookups.row({key_.keyspace.model, key_.keyspace.salt});
    const std::uint64_t chunk = engine_.config().chunk_size;
    row.lookups.add();
    row.requested_tokens.add(chain_->hashes().size() * chunk);
    row.hit_tokens.add(hit * chunk);
    if (layouts.empty()) return;
    // One object per rank, chunk and group; of a windowed group those at the end.
    std::uint64_t objects = 0;
    for (const ObjectLayout::Group& group : layouts.front()->groups) {
      if (group.auxiliary) continue;
      objects += group.window_chunks < 0
                     ? hit
                     : std::min(hit, static_cast<std::uint32_t>(group.window_chunks));
    }
    row.hit_objects.add(objects * key_.keyspace.world_size);
  }

  wire::Key key_;  // its tokens have moved into chain_
  std::optional<ChainBuilder> chain_;
};

class Query final : public AnsweredRequest {
 public:
  Query(Engine& engine, Arrival arrival, std::string request_id)
      : AnsweredRequest(engine, arrival), request_id_(std::move(request_id)) {}

  std::vector<OrderKey> keys() const override { return {request_id_}; }

  void run(std::function<void()> finished) override {
    responder_.integer(engine_.lookups().collect(peer_, request_id_, Clock::now()));
    finished();
  }

 private:
  std::string request_id_;
};

// A lookup's result is there when its turn is over, so waiting for it is waiting for a turn: no
// thread is held, only a timer for the caller's patience.
class Wait final : public AnsweredRequest, public std::enable_shared_from_this<Wait> {
 public:
  Wait(Engine& engine, Arrival arrival, wire::WaitRequest request)
      : AnsweredRequest(engine, arrival), request_(std::move(request)), timer_(engine.threads()) {}

  std::vector<OrderKey> keys() const override { return {request_.request_id}; }

  void blocked() override {
    const std::lock_guard lock(mutex_);
    if (answered_) return;
    timer_.expires_after(request_.timeout);
    timer_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
      if (!error && self->claim()) self->responder_.none();
    });
  }

  void run(std::function<void()> finished) override {
    if (claim())
      responder_.integer(engine_.lookups().collect(peer_, request_.request_id, Clock::now()));
    finished();
  }

  void begin() override {}  // it may be being answered; all its time is waiting

  void discard() override {
    if (claim()) responder_.discard();
  }

 private:
  // The timer and the turn race for the one reply.
  bool claim() {
    const std::lock_guard lock(mutex_);
    if (std::exchange(answered_, true)) return false;
    timer_.cancel();
    return true;
  }

  wire::WaitRequest request_;
  std::mutex mutex_;  // guards the two below
  boost::asio::steady_timer timer_;
  bool answered_ = false;
};

class Free final : public AnsweredRequest {
 public:
  Free(Engine& engine, Arrival arrival, wire::Key key)
      : AnsweredRequest(engine, arrival), key_(std::move(key)) {
    const std::uint64_t chunk = engine_.config().chunk_size;
    const std::uint64_t end = std::min<std::uint64_t>(key_.end, key_.tokens->size());
    last_ = static_cast<std::uint32_t>(end / chunk);
    first_ = static_cast<std::uint32_t>(
        std::min<std::uint64_t>((key_.start + chunk - 1) / chunk, last_));
    chain_.emplace(engine_.chains(), std::move(key_.tokens), first_ < last_ ? last_ : 0);
  }

  std::vector<OrderKey> keys() const override { return {key_.request_id}; }

  bool prepare() override { return chain_->step(); }

  void run(std::function<void()> finished) override {
    engine_.lookups().free(peer_, key_.request_id, key_.keyspace, chain_->hashes(), first_, last_,
                           key_.worker_id, key_.num_kv_readers, Clock::now());
    responder_.none();
    finished();
  }

 private:
  wire::Key key_;
  std::uint32_t first_ = 0, last_ = 0;
  std::optional<ChainBuilder> chain_;
};

class EndSession final : public AnsweredRequest {
 public:
  EndSession(Engine& engine, Arrival arrival, std::string request_id)
      : AnsweredRequest(engine, arrival), request_id_(std::move(request_id)) {}

  std::vector<OrderKey> keys() const override { return {request_id_}; }

  void run(std::function<void()> finished) override {
    for (const auto& ended : engine_.lookups().end(peer_, request_id_))
      engine_.cache().touch(ended.keyspace, ended.hashes);
    responder_.none();
    finished();
  }

 private:
  std::string request_id_;
};

}  // namespace

std::shared_ptr<Request> make_lookup(Engine& engine, Arrival arrival) {
  auto key = wire::decode_key(arrival.message.frame(wire::kFirstPayload), &engine.known_tokens());
  return make_decoded<Lookup>(engine, std::move(arrival), std::move(key));
}

std::shared_ptr<Request> make_query(Engine& engine, Arrival arrival) {
  auto id = wire::decode_request_id(arrival.message.frame(wire::kFirstPayload));
  return make_decoded<Query>(engine, std::move(arrival), std::move(id));
}

std::shared_ptr<Request> make_wait(Engine& engine, Arrival arrival) {
  auto request = wire::decode_wait(arrival.message);
  return make_decoded<Wait>(engine, std::move(arrival), std::move(request));
}

std::shared_ptr<Request> make_free(Engine& engine, Arrival arrival) {
  auto key = wire::decode_key(arrival.message.frame(wire::kFirstPayload), &engine.known_tokens());
  return make_decoded<Free>(engine, std::move(arrival), std::move(key));
}

std::shared_ptr<Request> make_end_session(Engine& engine, Arrival arrival) {
  auto id = wire::decode_request_id(arrival.message.frame(wire::kFirstPayload));
  return make_decoded<EndSession>(engine, std::move(arrival), std::move(id));
}

}  // namespace lmcache::engine
