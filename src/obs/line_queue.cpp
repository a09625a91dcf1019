#include "obs/line_queue.hpp"

#include "obs/log.hpp"

#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <ctime>
#include <deque>
#include <mutex>
#include <string_view>
#include <thread>
#include <utility>

namespace lmcache::obs {
namespace {

// Queued or being written. Outside the queue: a signal handler may look at it at any time.
std::atomic<std::size_t> unwritten{0};
static_assert(std::atomic<std::size_t>::is_always_lock_free);

struct Line {
  std::shared_ptr<const Descriptor> where;
  std::string text;
};

// A full disk or a reader that has gone costs lines, not the server.
void write_line(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written >= 0) {
      text.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno == EAGAIN) {  // stderr may be shared with one who made it non-blocking
      pollfd writable{fd, POLLOUT, 0};
      ::poll(&writable, 1, -1);
    } else if (errno != EINTR) {
      return;
    }
  }
}

class LineQueue {
 public:
  LineQueue() {
    // Signals are for the others: one that ends the process must not wait for a write, and without
    // SIGPIPE a reader's end does not end the server.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    std::thread([this] { write(); }).detach();
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }

  void push(Line line) {
    {
      const std::lock_guard lock(mutex_);
      bytes_ += line.text.size();
      lines_.push_back(std::move(line));
      ++unwritten;
      while (bytes_ > kMaxQueuedLogBytes && lines_.size() > 1) {
        take_oldest();
        --unwritten;
        ++lost_;
      }
    }
    wake_.notify_one();
  }

 private:
  // No obs::Pulse: a log that nobody reads is no reason to have the server started anew.
  [[noreturn]] void write() {
    pthread_setname_np(pthread_self(), "lmcache-log");
    std::unique_lock lock(mutex_);
    for (;;) {
      wake_.wait(lock, [this] { return !lines_.empty(); });
      const Line line = take_oldest();
      // With room again, or the line about lost lines would cost another.
      const std::uint64_t lost = bytes_ < kMaxQueuedLogBytes / 2 ? std::exchange(lost_, 0) : 0;
      lock.unlock();
      write_line(line.where->get(), line.text);
      if (lost > 0) log_event(Level::kError, "log lines were lost", {{"count", lost}});
      --unwritten;
      lock.lock();
    }
  }

  Line take_oldest() {
    Line line = std::move(lines_.front());
    lines_.pop_front();
    bytes_ -= line.text.size();
    return line;
  }

  std::mutex mutex_;  // guards what follows; innermost, not held while a line is written
  std::condition_variable wake_;
  std::deque<Line> lines_;
  std::size_t bytes_ = 0;
  std::uint64_t lost_ = 0;  // not logged yet
};

}  // namespace

Descriptor::~Descriptor() {
  if (fd_ > STDERR_FILENO) ::close(fd_);
}

void queue_line(std::shared_ptr<const Descriptor> where, std::string line) {
  // Never destroyed: its thread may be in the middle of a write that does not end.
  static LineQueue& queue = *new LineQueue;
  queue.push({std::move(where), std::move(line)});
}

bool wait_for_lines(std::chrono::milliseconds limit) noexcept {
  constexpr timespec kStep{0, 1'000'000};
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (unwritten > 0) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    ::nanosleep(&kStep, nullptr);
  }
  return true;
}

}  // namespace lmcache::obs
