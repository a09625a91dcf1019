// What lies between those who log and what they log to: lines wait in memory, and a thread of their
// own writes them, because a pipe that nobody reads or a disk that hangs would hold up whoever
// writes to it. The queue and its thread last as long as the process. Internal to src/obs.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>

namespace lmcache::obs {

/// Where a line goes; closed with the last line for it.
class Descriptor {
 public:
  explicit Descriptor(int owned) noexcept : fd_(owned) {}
  ~Descriptor();
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int get() const noexcept { return fd_; }

 private:
  const int fd_;
};

/// Beyond it the oldest lines are left out, which is logged when it goes on.
inline constexpr std::size_t kMaxQueuedLogBytes = 1u << 20;

/// Any thread; never waits for a write.
void queue_line(std::shared_ptr<const Descriptor> where, std::string line);

/// Waits until every line was written, or for no longer than `limit`. True if all were written.
/// Async-signal-safe.
bool wait_for_lines(std::chrono::milliseconds limit) noexcept;

}  // namespace lmcache::obs
