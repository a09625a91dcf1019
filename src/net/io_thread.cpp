#include "net/io_thread.hpp"

#include "net/session.hpp"
#include "obs/pulse.hpp"

#include <pthread.h>

#include <string>
#include <utility>
#include <vector>

namespace lmcache::net {

IoThread::IoThread() : guard_(boost::asio::make_work_guard(context_)) {}

IoThread::~IoThread() = default;

void IoThread::start() {
  thread_ = std::thread{[this] {
    pthread_setname_np(pthread_self(), "lmcache-io");
    static std::atomic<unsigned> next{0};
    obs::Pulse pulse("I/O thread " + std::to_string(next++));
    obs::run_beating(context_, pulse);
  }};
}

void IoThread::join() {
  if (thread_.joinable()) thread_.join();
}

void IoThread::adopt(PeerId peer, const std::shared_ptr<Session>& session) {
  sessions_.emplace(peer, session);  // the parameter keeps it alive should it close at once
  if (phase_ == Phase::kServing) {
    session->start();
  } else {
    session->stop();
  }
}

void IoThread::forget(PeerId peer) noexcept {
  if (sessions_.erase(peer) != 0) drop_load();
}

void IoThread::drain_all() {
  if (phase_ == Phase::kServing) phase_ = Phase::kDraining;
  for_each(&Session::drain);
}

void IoThread::stop_all() {
  phase_ = Phase::kStopped;
  for_each(&Session::stop);
  guard_.reset();
}

// Over a copy: a closing session forgets itself.
void IoThread::for_each(void (Session::*action)()) {
  std::vector<std::shared_ptr<Session>> all;
  all.reserve(sessions_.size());
  for (const auto& [peer, session] : sessions_) all.push_back(session);
  for (const auto& session : all) ((*session).*action)();
}

}  // namespace lmcache::net
