#include "engine/channel.hpp"

#include <boost/asio/post.hpp>

namespace lmcache::engine {

void Channel::push(const wire::Operation& operation, Arrival arrival) {
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back({&operation, std::move(arrival)});
    if (scheduled_) return;
    scheduled_ = true;
  }
  schedule();
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
    preparing_ = make_request(engine_, *next->operation, std::move(next->arrival));
  }
  if (preparing_ && preparing_->prepare()) admit(std::exchange(preparing_, nullptr));
  if (!preparing_) {
    const std::lock_guard lock(mutex_);
    if (queue_.empty()) {
      scheduled_ = false;
      return;
    }
  }
  schedule();
}

void Channel::admit(std::shared_ptr<Request> request) {
  Ordering::TurnPtr turn;
  const auto later = [self = shared_from_this(), request](const Ordering::TurnPtr& mine) {
    boost::asio::post(self->engine_.threads(), [self, request, mine] { self->start(request, mine); });
  };
  const auto keys = request->keys();
  if (ordering_.enter(keys, later, turn)) {
    start(request, turn);
  } else {
    request->blocked();
  }
}

void Channel::start(const std::shared_ptr<Request>& request, const Ordering::TurnPtr& turn) {
  if (closed()) {
    request->discard();
    ordering_.finish(turn);
    return;
  }
  request->run([self = shared_from_this(), turn] { self->ordering_.finish(turn); });
}

}  // namespace lmcache::engine
