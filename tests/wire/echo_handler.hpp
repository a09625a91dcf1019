// The request layer of the wire tests: every message comes back as it is; one whose first frame is
// "hold" waits until release(), one that starts with "worker" is answered by another thread.
#pragma once

#include "net/handler.hpp"
#include "support/zmtp_peer.hpp"

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace lmcache::test {

class EchoHandler : public net::Handler {
 public:
  EchoHandler() : worker_([this] { work(); }) {}
  ~EchoHandler() override {
    {
      const std::lock_guard lock{mutex_};
      ending_ = true;
    }
    changed_.notify_all();
    worker_.join();
  }

  std::unique_ptr<net::Connection> opened(net::PeerId, const std::string& name) override {
    ++opened_count;
    const std::lock_guard lock{mutex_};
    last_name_ = name;
    return std::make_unique<Peer>(*this);
  }
  void dropped(const std::string&, const std::string& reason) override {
    const std::lock_guard lock{mutex_};
    last_reason_ = reason;
  }
  void message(const wire::Message& message, net::ReplySlot slot) {
    std::vector<wire::Bytes> frames;
    for (std::size_t i = 0; i < message.frame_count(); ++i) {
      frames.emplace_back(message.frame(i).begin(), message.frame(i).end());
    }
    const std::string_view first{reinterpret_cast<const char*>(frames.front().data()),
                                 frames.front().size()};
    if (first == "hold") {
      const std::lock_guard lock{mutex_};
      held_.push_back({std::move(slot), std::move(frames)});
      ++held_count;
    } else if (first == "worker") {
      const std::lock_guard lock{mutex_};
      work_.push_back({std::move(slot), std::move(frames)});
      changed_.notify_all();
    } else {
      slot.send(test::views(frames));
    }
  }

  /// Answers what is held, from the calling thread.
  void release() {
    std::deque<Pending> all;
    {
      const std::lock_guard lock{mutex_};
      all.swap(held_);
    }
    for (Pending& pending : all) {
      pending.slot.send(test::views(pending.frames));
      --held_count;
    }
  }
  [[nodiscard]] std::string last_name() const {
    const std::lock_guard lock{mutex_};
    return last_name_;
  }
  [[nodiscard]] std::string last_reason() const {
    const std::lock_guard lock{mutex_};
    return last_reason_;
  }

  std::atomic<int> opened_count{0}, closed_count{0}, held_count{0};

 private:
  struct Peer final : net::Connection {
    explicit Peer(EchoHandler& all) : handler(all) {}
    ~Peer() override { ++handler.closed_count; }
    void message(wire::Message& message, net::ReplySlot slot) override {
      handler.message(message, std::move(slot));
    }
    EchoHandler& handler;
  };
  struct Pending {
    net::ReplySlot slot;
    std::vector<wire::Bytes> frames;
  };

  void work() {
    std::unique_lock lock{mutex_};
    for (;;) {
      changed_.wait(lock, [this] { return ending_ || !work_.empty(); });
      if (work_.empty()) return;
      Pending pending = std::move(work_.front());
      work_.pop_front();
      lock.unlock();
      pending.slot.send(test::views(pending.frames));
      lock.lock();
    }
  }

  mutable std::mutex mutex_;  // guards the rest
  std::condition_variable changed_;
  std::deque<Pending> held_, work_;
  std::string last_name_, last_reason_;
  bool ending_ = false;
  std::thread worker_;
};

}  // namespace lmcache::test
