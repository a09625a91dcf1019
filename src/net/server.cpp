#include "net/server.hpp"

#include "net/acceptor.hpp"
#include "net/io_thread.hpp"
#include "net/shared.hpp"

#include <algorithm>
#include <future>
#include <mutex>
#include <utility>
#include <vector>

namespace lmcache::net {

struct Server::Impl {
  Impl(NetOptions options, Handler& handler)
      : shared(std::make_shared<Shared>(std::move(options), handler)) {}

  std::shared_ptr<Shared> shared;
  std::uint16_t port = 0;

  std::mutex mutex;  ///< serialises stop_accepting and stop; guards the rest
  bool stopped = false;
  Acceptor::Threads threads;
  std::vector<std::shared_ptr<Acceptor>> acceptors;

  void stop_accepting();
};

Server::Server(NetOptions options, Handler& handler)
    : impl_(std::make_unique<Impl>(std::move(options), handler)) {}

Server::~Server() {
  stop();
}

Status Server::start(std::vector<ListeningSocket> passed) {
  const NetOptions& options = impl_->shared->options;
  auto listeners =
      listen(std::move(passed), {options.tcp, options.host, options.port, options.unix_path});
  if (!listeners) return listeners.error();
  impl_->port = listeners->port;

  const std::lock_guard lock{impl_->mutex};
  for (unsigned i = 0; i < std::max(1u, options.io_threads); ++i) {
    impl_->threads.push_back(std::make_shared<IoThread>());
  }
  for (auto& socket : listeners->sockets) {
    impl_->acceptors.push_back(
        std::make_shared<Acceptor>(std::move(socket), impl_->shared, impl_->threads));
    impl_->acceptors.back()->start();
  }
  for (const auto& thread : impl_->threads) thread->start();
  return {};
}

std::uint16_t Server::port() const noexcept {
  return impl_->port;
}

void Server::stop_accepting() {
  const std::lock_guard lock{impl_->mutex};
  impl_->stop_accepting();
}

void Server::Impl::stop_accepting() {
  if (acceptors.empty()) return;
  std::promise<void> closed;
  threads.front()->post([this, &closed] {
    for (const auto& acceptor : acceptors) acceptor->close();
    closed.set_value();
  });
  closed.get_future().wait();
  acceptors.clear();
}

bool Server::drain(std::chrono::steady_clock::time_point deadline) {
  {
    const std::lock_guard lock{impl_->mutex};
    if (impl_->stopped) return false;
    impl_->stop_accepting();
    for (const auto& thread : impl_->threads) {
      thread->post([thread = thread.get()] { thread->drain_all(); });
    }
  }
  return impl_->shared->wait_until_none(deadline);
}

void Server::stop() {
  const std::lock_guard lock{impl_->mutex};
  if (std::exchange(impl_->stopped, true)) return;
  impl_->shared->interrupt();
  impl_->stop_accepting();
  for (const auto& thread : impl_->threads) {
    thread->post([thread = thread.get()] { thread->stop_all(); });
  }
  for (const auto& thread : impl_->threads) thread->join();
}

NetStats Server::stats() const noexcept {
  return impl_->shared->counters.read();
}

}  // namespace lmcache::net
