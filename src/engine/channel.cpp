#include "engine/channel.hpp"

#include "obs/log.hpp"

#include <boost/asio/post.hpp>

#include <exception>

namespace lmcache::engine {

bool Channel::push(const wire::Operation& operation, Arrival arrival) {
  {
    const std::lock_guard lock(mutex_);
    arrival.responder.queued();
    queue_.push_back({&operation, std::move(arrival)});
    if (scheduled_) return false;
    scheduled_ = true;
  }
  schedule();
  return true;
}

void Channel::close() {
  std::deque<Queued> dropped;
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    dropped.swap(queue_);
  }
  for (Queued& queued : dropped) queued.arrival.responder.discard();
}

bool Channel::closed() const {
  const std::lock_guard lock(mutex_);
  return closed_;
}

void Channel::schedule() {
  boost::asio::post(engine_.threads(), [self = shared_from_this()] { self->step(); });
}

// One unit of work: decode a message, or hash on. Then back to the end of the line.
void Channel::step() {
  if (!preparing_) {
    std::optional<Queued> next;
    {
      const std::lock_guard lock(mutex_);
      if (queue_.empty()) {
        scheduled_ = false;
        return;
      }
      next.emplace(std::move(queue_.front()));
      queue_.pop_front();
    }
    guarded(
        [&] { preparing_ = make_request(engine_, *next->operation, std::move(next->arrival)); });
  }
  bool prepared = false;
  if (preparing_ && !guarded([&] { prepared = preparing_->prepare(); })) preparing_ = nullptr;
  if (prepared) admit(std::exchange(preparing_, nullptr));
  schedule();
}

// Memory may run out under a request of legal size. Then that request fails, through its
// responder's end, and no other.
template <class Work>
bool Channel::guarded(Work work) {
  try {
    work();
    return true;
  } catch (const std::exception& error) {
    obs::log_event(obs::Level::kError, "a request was given up",
                   {{"reason", std::string_view(error.what())}});
    return false;
  }
}

void Channel::admit(std::shared_ptr<Request> request) {
  Ordering::TurnPtr turn;
  const auto later = [self = shared_from_this(), request](const Ordering::TurnPtr& mine) {
    boost::asio::post(self->engine_.threads(),
                      [self, request, mine] { self->start(request, mine); });
  };
  if (ordering_.enter(request->keys(), later, turn)) {
    start(request, turn);
  } else {
    request->blocked();
  }
}

void Channel::start(const std::shared_ptr<Request>& request, const Ordering::TurnPtr& turn) {
  // The turn ends when the request says so or, whatever becomes of it, when it lets go of this.
  std::shared_ptr<void> token(
      nullptr, [self = shared_from_this(), turn](void*) { self->ordering_.finish(turn); });
  if (closed()) {
    request->discard();
    return;
  }
  request->begin();
  guarded([&] { request->run([held = std::move(token)]() mutable { held.reset(); }); });
}

}  // namespace lmcache::engine
