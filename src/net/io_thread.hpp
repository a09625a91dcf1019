// One I/O thread: its event loop and the connections that live on it. Internal to src/net.
//
// A connection keeps its IoThread alive, and the loop keeps handlers that keep connections; the
// circle is cut by stop_all(): it closes every connection, after which the loop runs dry and the
// thread ends.
#pragma once

#include "net/handler.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <atomic>
#include <functional>
#include <memory>
#include <thread>
#include <unordered_map>

namespace lmcache::net {

class Session;

class IoThread {
 public:
  IoThread();
  ~IoThread();  ///< the thread must have been joined

  void start();
  /// Returns when the loop has run dry; stop_all() must have been posted.
  void join();

  [[nodiscard]] boost::asio::io_context& context() noexcept { return context_; }
  template <class Function>
  void post(Function&& function) {
    boost::asio::post(context_, std::forward<Function>(function));
  }
  /// Connections given to this thread and not yet closed. Any thread; a hint for balancing.
  [[nodiscard]] std::size_t load() const noexcept { return load_.load(std::memory_order_relaxed); }
  void add_load() noexcept { load_.fetch_add(1, std::memory_order_relaxed); }
  void drop_load() noexcept { load_.fetch_sub(1, std::memory_order_relaxed); }

  // The rest on this thread only.
  void adopt(PeerId peer, const std::shared_ptr<Session>& session);
  void forget(PeerId peer) noexcept;
  /// Every connection, present and to come, finishes what is in flight and closes.
  void drain_all();
  /// Every connection, present and to come, closes now; the loop ends when nothing is left to do.
  void stop_all();

 private:
  enum class Phase { kServing, kDraining, kStopped };
  void for_each(void (Session::*action)());

  boost::asio::io_context context_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> guard_;
  std::unordered_map<PeerId, std::shared_ptr<Session>> sessions_;
  Phase phase_ = Phase::kServing;
  std::atomic<std::size_t> load_{0};
  std::thread thread_;
};

}  // namespace lmcache::net
