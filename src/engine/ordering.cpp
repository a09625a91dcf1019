#include "engine/ordering.hpp"

namespace lmcache::engine {

class Ordering::Turn {
 public:
  std::vector<OrderKey> keys;
  Run run;
  std::size_t waits_for = 0;
  std::vector<TurnPtr> followers;
};

bool Ordering::enter(const std::vector<OrderKey>& keys, Run run, TurnPtr& turn) {
  turn = std::make_shared<Turn>();
  turn->keys = keys;
  turn->run = std::move(run);
  const std::lock_guard lock(mutex_);
  ++pending_;
  for (const OrderKey& key : keys) {
    TurnPtr& last = last_[key];
    if (last && last != turn) {
      last->followers.push_back(turn);
      ++turn->waits_for;
    }
    last = turn;
  }
  return turn->waits_for == 0;
}

void Ordering::finish(const TurnPtr& turn) {
  std::vector<TurnPtr> ready;
  {
    const std::lock_guard lock(mutex_);
    --pending_;
    for (const OrderKey& key : turn->keys) {
      if (const auto last = last_.find(key); last != last_.end() && last->second == turn)
        last_.erase(last);
    }
    for (TurnPtr& follower : turn->followers) {
      if (--follower->waits_for == 0) ready.push_back(std::move(follower));
    }
    turn->followers.clear();
  }
  for (const TurnPtr& next : ready) {
    const Run run = std::move(next->run);
    run(next);
  }
}

std::size_t Ordering::pending() const {
  const std::lock_guard lock(mutex_);
  return pending_;
}

}  // namespace lmcache::engine
