// The requests of one connection between arrival and turn: decoded in order of arrival on the
// request threads, one step at a time so that a connection with a long queue, or a very long
// prompt, shares the threads evenly with the others, then run in the order `Ordering` gives.
#pragma once

#include "engine/engine.hpp"
#include "engine/ordering.hpp"
#include "engine/request.hpp"

#include <deque>
#include <memory>
#include <mutex>

namespace lmcache::engine {

class Channel : public std::enable_shared_from_this<Channel> {
 public:
  explicit Channel(Engine& engine) : engine_(engine) {}

  /// Any thread; in order of arrival. Returns whether nothing is ahead of it.
  bool push(const wire::Operation& operation, Arrival arrival);
  /// The connection has gone: what has not had its turn is dropped unanswered.
  void close();

 private:
  struct Queued {
    const wire::Operation* operation;
    Arrival arrival;
  };
  void schedule();
  void step();
  void admit(std::shared_ptr<Request> request);
  void start(const std::shared_ptr<Request>& request, const Ordering::TurnPtr& turn);
  template <class Work>
  bool guarded(Work work);
  [[nodiscard]] bool closed() const;

  Engine& engine_;
  Ordering ordering_;
  std::shared_ptr<Request> preparing_;  // only the thread running step() touches it

  mutable std::mutex mutex_;  // guards everything below
  std::deque<Queued> queue_;
  bool scheduled_ = false;
  bool closed_ = false;
};

}  // namespace lmcache::engine
